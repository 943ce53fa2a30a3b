-- promote: delayed tasks and retries whose time has come get in line. Says how many.
let_through()
local now, promoted = clock(), 0

local function promote(id, queue)
  redis.call('ZREM', key.scheduled(queue), id)
  local task = read_known(id)
  if task.state ~= 'queued' then return 0 end
  local due = redis.call('HGET', key.task(id), 'due')
  redis.call('HDEL', key.task(id), 'due')
  if due then redis.call('HSET', key.task(id), 'ready', due) end -- what it waits from then on is the fleet's doing
  push(task, now, instant(), false)
  return 1
end

for _, queue in ipairs(ARGV) do
  local scheduled = key.scheduled(queue)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', scheduled, '-inf', now, 'LIMIT', 0, CHORE_LIMIT)) do
    promoted = promoted + guarded(id, scheduled, now, function() return promote(id, queue) end)
  end
end
return promoted
