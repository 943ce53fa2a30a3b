-- submit: admission, then record, indexes, counters and Celery message, all or nothing.
-- Idempotent by id: a client that lost the reply may send it again.
-- The stream of the task's events begins with its first move: a stream takes 4 KiB at once, and the record itself says
-- that and when the task was queued (docs/decisions/0004).
local id, project, kind, queue, priority, data, callback, metadata, retry_of, copy_of, key_id, run_at, deadline,
  per_minute, saved_ms, project_tasks, queue_length, once_name, fingerprint, traceparent = unpack(ARGV)
local exact = instant()
local now = math.floor(exact)
-- A moment is given in ms since the epoch, or from now with a `+`; empty, there is none.
local function moment(text)
  if text == '' then return nil end
  return text:sub(1, 1) == '+' and now + tonumber(text:sub(2)) or tonumber(text)
end
local due = moment(run_at)
deadline = moment(deadline)
local NOT_LOOKED_AT = { -1, 0, -1 }

-- How long such a task takes, by recent ones (TS-173). -1: too few have ended.
local function mean_ms()
  local known = redis.call('HMGET', key.durations(kind), 'n', 'ms')
  return tonumber(known[1] or 0) >= MEASURED and math.floor(known[2] / known[1]) or -1
end

local known = read(id, 'state', 'created', 'queue')
if known.state then return { 'accepted', id, tonumber(known.created), position(id, known.queue), known.state, 2, NOT_LOOKED_AT, mean_ms() } end

-- A request that is repeated gets the answer that it got, whatever the limits say now (NS-005).
local once = once_name ~= '' and key.once(key_id, once_name)
if once then
  local first = redis.call('HMGET', once, 'fingerprint', 'id', 'created', 'position')
  if first[1] and first[1] ~= fingerprint then return { 'refused', 'reused', 0, NOT_LOOKED_AT } end
  if first[1] then return { 'accepted', first[2], tonumber(first[3]), tonumber(first[4]), 'queued', 1, NOT_LOOKED_AT, mean_ms() } end
end

local rate = rate_now(key.rate('submissions', key_id), tonumber(per_minute), tonumber(saved_ms), now)
local left, more_in_ms = left_of(rate)
-- Counted from the indexes, which every move keeps: a counter would leak with the first crash (TS-152).
local in_progress = redis.call('ZCARD', key.index('queued', '*', project))
  + redis.call('ZCARD', key.index('processing', '*', project))
local function refused(limit, wait_ms) return { 'refused', limit, wait_ms, { left, more_in_ms, in_progress } } end

if reached(queue_length, redis.call('ZCARD', key.waiting(queue))) then return refused('queue', QUEUE_FULL_MS) end
if left == 0 then return refused('submissions', more_in_ms) end
if reached(project_tasks, in_progress) then return refused('project', room_in_ms(queue, in_progress)) end
if due and due > now + AHEAD_MOST_MS then return refused('run_at', 0) end
if deadline and (deadline <= math.max(now, due or 0) or deadline > now + AHEAD_MOST_MS) then return refused('deadline', 0) end
if copy_of ~= '' then -- what may be large does not leave Redis for it
  local copied = read(copy_of, 'data', 'callback', 'metadata')
  if not copied.data then return refused('gone', 0) end
  data, callback, metadata = copied.data, copied.callback, copied.metadata
end
spend(rate)

redis.call('HSET', key.task(id), 'state', 'queued', 'project', project, 'type', kind, 'queue', queue,
  'priority', priority, 'data', data, 'callback', callback, 'metadata', metadata,
  'retry_of', retry_of, 'key', key_id,
  'created', now, 'updated', now, 'token', 1, 'retries', 0, 'crashes', 0, 'deliveries', 1, 'pushed', now)
if traceparent ~= '' then redis.call('HSET', key.task(id), 'traceparent', traceparent) end
place_in_index(id, project, kind, 'queued', now)
place_in_index(id, project, kind, '*', now)
count('total_tasks')
measure({ queue = queue, type = kind }, 'submitted')
if retry_of ~= '' then note_retry(retry_of, now, id, key_id) end

if deadline then
  redis.call('HSET', key.task(id), 'deadline', deadline)
  redis.call('ZADD', key.deadlines(), deadline, id)
end
if due and due > now then
  -- `promote` puts it in line, as it does with a retry. No worker is woken before that.
  redis.call('HSET', key.task(id), 'due', due, 'begins', due)
  redis.call('ZADD', key.scheduled(queue), due, id)
else
  redis.call('ZADD', key.waiting(queue), turn(priority, exact), id)
  redis.call('LPUSH', broker_list(queue, priority), message(id, kind, broker(queue), priority, 1, id .. '.1'))
  redis.call('PUBLISH', key.wake(), queue)
end

local place = position(id, queue)
if once then
  redis.call('HSET', once, 'fingerprint', fingerprint, 'id', id, 'created', now, 'position', place)
  redis.call('PEXPIRE', once, ONCE_KEPT_MS)
end
left, more_in_ms = left_of(rate)
return { 'accepted', id, now, place, 'queued', 0, { left, more_in_ms, in_progress + 1 }, mean_ms() }
