-- recover: messages that were lost between a list and a worker (kombu pops first and notes it down afterwards).
-- Lists are first in, first out: a task that waits although its list hands out a later one next, or nothing at all,
-- has lost its message. It gets another. A wrong guess does no harm: only one of two messages can claim.
local grace_ms = tonumber(ARGV[1])
local now, recovered = clock(), 0

-- The turn of what this list hands out next: nil if it is empty, false if that cannot be told.
local function next_turn(queue, priority)
  local list = broker_list(queue, priority)
  if redis.call('LLEN', list) == 0 then return nil end
  local last = redis.call('LRANGE', list, -10, -1)
  for i = #last, 1, -1 do
    local readable, content = pcall(cjson.decode, last[i])
    local id = readable and type(content) == 'table' and type(content.headers) == 'table' and content.headers.id
    local score = type(id) == 'string' and redis.call('ZSCORE', key.waiting(queue), id)
    if score then return tonumber(score) end
  end
  return false
end

for i = 2, #ARGV do
  local queue = ARGV[i]
  for priority = 1, 3 do
    local bound = next_turn(queue, priority)
    if bound ~= false then
      local upto = bound and '(' .. string.format('%.0f', bound) or '(' .. string.format('%.0f', turn(priority + 1, 0))
      local waiting = redis.call('ZRANGEBYSCORE', key.waiting(queue), turn(priority, 0), upto, 'LIMIT', 0, CHORE_LIMIT)
      for _, id in ipairs(waiting) do
        local task = read_known(id)
        if not task.state then
          redis.call('ZREM', key.waiting(queue), id)
        elseif now - read(id, 'pushed').pushed > grace_ms then
          local score = redis.call('ZSCORE', key.waiting(queue), id)
          push(task, now, tonumber(score) - turn(priority, 0), true)
          recovered = recovered + 1
        end
      end
    end
  end
end
if recovered > 0 then count('recovered_messages', recovered) end
return recovered
