-- retry_later: the attempt failed for a passing reason. The next one waits in Redis, not in a worker's memory.
-- 1: it will be tried again (or was to be: the reply was lost). 0: refused, the task is no longer the caller's.
let_through()
local id, token, delay_ms, err, trace, cause = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local task = read_known(id)
if not holds(task, token) then
  if task.state == 'cancelled' and task.token == token then redis.call('ZREM', key.leases(task.queue), id) end
  -- A repeat: no other step gives out the next token and leaves a time at which the task is due.
  if task.state == 'queued' and tonumber(task.token) == token + 1 and read(id, 'due').due then return 1 end
  if task.state and task.token ~= token then measure(task, 'stale') end
  return 0
end

local now = clock()
redis.call('HINCRBY', key.task(id), 'token', 1)
redis.call('HINCRBY', key.task(id), 'retries', 1)
redis.call('ZREM', key.leases(task.queue), id)
redis.call('ZADD', key.scheduled(task.queue), now + delay_ms, id)
remember_attempt(task, now, 'failed', err)
task.outcome = 'retried'
measure(task, 'failures', cause)
move(task, 'queued', now, 'due', now + delay_ms, 'last_error', err, 'last_trace', trace)
clear_attempt(id)
tell(id, now, 'retry', now + delay_ms, 'error', err)
count('retried_tasks')
return 1
