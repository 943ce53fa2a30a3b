-- submit: record, indexes, counters and Celery message, all or nothing.
-- Idempotent by id: a client that lost the reply may send it again.
-- The stream of the task's events begins with its first move: a stream takes 4 KiB at once, and the record itself says
-- that and when the task was queued (docs/decisions/0004).
local id, project, kind, queue, priority, data, callback, metadata, retry_of, key_id = unpack(ARGV)
local known = read(id, 'state', 'created', 'queue')
if known.state then return { tonumber(known.created), position(id, known.queue), known.state } end

local now = clock()
redis.call('HSET', key.task(id), 'state', 'queued', 'project', project, 'type', kind, 'queue', queue,
  'priority', priority, 'data', data, 'callback', callback, 'metadata', metadata, 'retry_of', retry_of, 'key', key_id,
  'created', now, 'updated', now, 'token', 1, 'retries', 0, 'crashes', 0, 'deliveries', 1, 'pushed', now)
place_in_index(id, project, kind, 'queued', now)
place_in_index(id, project, kind, '*', now)
count('total_tasks')

redis.call('ZADD', key.waiting(queue), turn(priority, instant()), id)
redis.call('LPUSH', broker_list(queue, priority),
  message(id, kind, broker(queue), priority, 1, id .. '.1'))
redis.call('PUBLISH', key.wake(), queue)
return { now, position(id, queue), 'queued' }
