-- renew: a worker's beat. Renews the leases of what it runs, says what it does, and learns whether it is to take messages:
-- not while it drains, nor while its queue is paused. And how many messages wait: a consumer that takes none of them has
-- stopped consuming.
-- One verdict for each (id, token): `held`; `done`, its attempt has settled it, and its process is about to say so; `stop`,
-- it was cancelled; `lost`, it is no longer this worker's.
let_through()
local worker, queue, about, lease_ms, silence_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local now = clock()

redis.call('HSET', key.worker(worker), 'about', about, 'seen', now)
redis.call('PEXPIRE', key.worker(worker), silence_ms)
redis.call('ZADD', key.workers(queue), now, worker)

local rests = redis.call('SISMEMBER', key.draining(), worker) == 1 or is_paused(queue)
local waiting = 0
for priority = 1, 3 do waiting = waiting + redis.call('LLEN', broker_list(queue, priority)) end
-- A failed task may be one that was given up: its process had better go.
local VERDICTS = { processing = 'held', cancelled = 'stop', completed = 'done' }
local verdicts = { rests and 1 or 0, waiting }
for i = 6, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local readable, task = pcall(read, id, 'state', 'token', 'queue') -- a broken record takes no other task with it
  local verdict = 'lost'
  if readable and task.state and task.token == token then
    verdict = VERDICTS[task.state] or 'lost'
    -- What was cancelled keeps its place until its process is gone: it still uses it.
    if verdict == 'held' or verdict == 'stop' then redis.call('ZADD', key.leases(task.queue), now + lease_ms, id) end
  end
  verdicts[#verdicts + 1] = verdict
end
return verdicts
