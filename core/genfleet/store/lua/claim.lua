-- claim: may this worker run this task? `run` with what it needs, `busy`, `drop`, or `unknown` (no record).
-- A message without a token is another producer's; it is taken at its word.
local id, token, worker, nonce, lease_ms, gpus = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local task = read_known(id)
if not task.state then return { 'unknown' } end

local function granted()
  local more = read(id, 'data', 'retries', 'started', 'traceparent')
  local answer = { 'run', tonumber(task.token), task.project, task.type, more.data, tonumber(more.retries) }
  if more.traceparent then -- and since when it waited, and until when
    answer[7], answer[8], answer[9] =
      more.traceparent, tonumber(task.ready or task.begins or task.created), tonumber(more.started)
  end
  return answer
end

if task.state == 'processing' then
  local holder = read(id, 'worker', 'claimed')
  -- The reply to this very claim was lost, and it is made again.
  if holder.worker == worker and holder.claimed == nonce then return granted() end
  return { 'busy', holder.worker }
end
if task.state ~= 'queued' or (token ~= '' and task.token ~= token) then return { 'drop', task.state } end
-- The message is dropped, the task keeps its place; it gets another message when the pause ends.
if is_paused(task.queue) then return { 'drop', 'paused' } end
local now, deadline = clock(), redis.call('ZSCORE', key.deadlines(), id)
if deadline and tonumber(deadline) <= now then
  end_overdue(task, now)
  return { 'drop', task.state }
end
-- Not in line: it waits for its time or its next attempt, and this is an old message.
if redis.call('ZREM', key.waiting(task.queue), id) == 0 then return { 'drop', 'scheduled' } end

if deadline then redis.call('ZREM', key.deadlines(), id) end -- it has started: later attempts have all the time they need
redis.call('ZADD', key.leases(task.queue), now + lease_ms, id)
measure_time(task, 'wait', now - tonumber(task.ready or task.created))
if not task.ready or task.ready == task.begins then -- it has not run before
  measure_time(task, 'start', now - tonumber(task.begins or task.created))
end
move(task, 'processing', now, 'started', now, 'worker', worker, 'claimed', nonce, 'gpus', gpus, 'progress', 0, 'step', 'starting')
return granted()
