-- settle: the end of an attempt that ends the task. Needs the token, so a task that ran twice has one result.
-- 1: settled (or it was, by this very token: the reply was lost). 0: refused, the task is no longer the caller's.
let_through()
local id, token, to, result, err, trace, cause = unpack(ARGV)
local task = read_known(id)
if not holds(task, token) then
  if task.state and task.token == token and task.state ~= 'queued' then
    -- It had ended already: cancelled, or this is a repeat. The place it used is free now.
    redis.call('ZREM', key.leases(task.queue), id)
    wake_if_idle(task.queue)
    if task.state == 'failed' and to == 'completed' then measure(task, 'stale') end -- its worker was given up too early
    return task.state == to and 1 or 0
  end
  if task.state then measure(task, 'stale') end
  return 0
end

-- Adds a run to what is known of others (`contract/durations.py`): a count by bucket, their number and their sum.
local function learn(name, took)
  local bucket = took < LEAST_MS and 0 or math.floor(math.log(took / LEAST_MS) / math.log(2) * BUCKETS_PER_DOUBLING) + 1
  redis.call('HINCRBY', name, 'b' .. bucket, 1)
  redis.call('HINCRBY', name, 'ms', took)
  if redis.call('HINCRBY', name, 'n', 1) < HALVED_AT then return end
  local flat, left = redis.call('HGETALL', name), 0
  for i = 1, #flat, 2 do
    local half = math.floor(tonumber(flat[i + 1]) / 2)
    if flat[i]:sub(1, 1) == 'b' then left = left + half end
    if flat[i] ~= 'mean_ms' then redis.call('HSET', name, flat[i], half) end
  end
  redis.call('HSET', name, 'n', left)
end

local now = clock()
if to == 'failed' then
  remember_attempt(task, now, 'failed', err)
  measure(task, 'failures', cause)
  finish(task, 'failed', now, 'error', err, 'trace', trace)
  return 1
end
finish(task, 'completed', now, 'result', result, 'progress', 1, 'step', 'completed')
local took = now - task.started
count('run_ms:' .. task.type, took)
count('runs:' .. task.type)
learn(key.durations(task.type), took)
learn(key.service(task.queue), took)
-- A mean that follows the recent tasks: each new one weighs a fifth.
local mean = tonumber(redis.call('HGET', key.service(task.queue), 'mean_ms') or took)
redis.call('HSET', key.service(task.queue), 'mean_ms', math.floor(mean + (took - mean) / 5))
return 1
