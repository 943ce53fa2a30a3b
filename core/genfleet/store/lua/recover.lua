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

-- Out of order is not lost: the very message may still be in the list.
local function is_listed(task)
  local place = redis.call('LPOS', message_list(task), celery_message(task, task.deliveries), 'RANK', -1, 'MAXLEN', LIST_SEARCHED)
  return type(place) == 'number'
end

local function recover(id, score, priority, waiting)
  local task, pushed = read_known(id), read(id, 'pushed').pushed
  if task.state ~= 'queued' then
    redis.call('ZREM', waiting, id)
    return 0
  end
  if now - pushed <= grace_ms then return 0 end
  if is_listed(task) then
    redis.call('HSET', key.task(id), 'pushed', now) -- looked for again after another grace, not every second
    return 0
  end
  push(task, now, score - turn(priority, 0), true)
  return 1
end

-- How many are looked at now: for each, the whole list may have to be searched.
local function room(queue, priority)
  local searched = math.min(redis.call('LLEN', broker_list(queue, priority)), LIST_SEARCHED)
  return math.min(CHORE_LIMIT, math.floor(LOST_SEARCHED / math.max(searched, 1)))
end

local function recover_queue(queue)
  local waiting = key.waiting(queue)
  for priority = 1, 3 do
    local bound = next_turn(queue, priority)
    if bound ~= false then
      local upto = '(' .. string.format('%.17g', bound or turn(priority + 1, 0))
      local rows = redis.call('ZRANGEBYSCORE', waiting, turn(priority, 0), upto, 'WITHSCORES', 'LIMIT', 0, room(queue, priority))
      for row = #rows - 1, 1, -2 do -- from the last to the first: each one becomes next in line
        local id, score = rows[row], tonumber(rows[row + 1])
        recovered = recovered + guarded(id, waiting, now, function() return recover(id, score, priority, waiting) end)
      end
    end
  end
end

for i = 2, #ARGV do
  if not is_paused(ARGV[i]) then recover_queue(ARGV[i]) end -- in a pause messages are dropped on purpose
end
if recovered > 0 then count('recovered_messages', recovered) end
return recovered
