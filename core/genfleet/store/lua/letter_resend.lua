-- letter_resend: puts a message that was set aside back in its list, as it was: last in line. By whom is kept.
-- `resent`, or why not: `unknown`, `again` (it was resent before), `cut` (no more is kept of it than its beginning), or
-- `record` (it was never a message).
local id, by = ARGV[1], ARGV[2]
local state, list, raw, size = unpack(redis.call('HMGET', key.dead_letter(id), 'state', 'list', 'raw', 'size'))
if not state then return 'unknown' end
if state == 'resent' then return 'again' end
if not (raw and list) then return 'record' end
if #raw < tonumber(size) then return 'cut' end
local now = clock()
move_letter(id, 'waiting', 'resent', now)
redis.call('HSET', key.dead_letter(id), 'resent', now, 'by', by)
redis.call('LPUSH', list, raw)
redis.call('PUBLISH', key.wake(), redis.call('HGET', key.dead_letter(id), 'queue') or '')
return 'resent'
