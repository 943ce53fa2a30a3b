-- unpause: what waits in this queue starts again. The pause that ended, JSON; nil if there was none.
-- Messages that workers dropped meanwhile are made anew by `recover`.
local queue = ARGV[1]
local known = redis.call('HGET', key.paused(), queue)
redis.call('HDEL', key.paused(), queue)
redis.call('PUBLISH', key.wake(), queue)
return known
