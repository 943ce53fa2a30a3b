-- look: counts one look at a task against its key's rate, and reads the named fields of the record; without names, all.
-- A look that is repeated because its reply was lost counts twice: it was asked twice.
local id, key_id, per_minute, saved_ms = unpack(ARGV, 1, 4)
local rate = rate_now(key.rate('reads', key_id), tonumber(per_minute), tonumber(saved_ms), clock())
local left, more_in_ms = left_of(rate)
if left == 0 then return { 'refused', 'reads', more_in_ms, { left, more_in_ms, -1 } } end
spend(rate)
left, more_in_ms = left_of(rate)
if #ARGV == 4 then return { 'seen', redis.call('HGETALL', key.task(id)), { left, more_in_ms, -1 } } end
return { 'seen', redis.call('HMGET', key.task(id), unpack(ARGV, 5)), { left, more_in_ms, -1 } }
