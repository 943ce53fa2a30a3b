-- pause: nothing of this queue starts from now on. Who pauses it again changes the reason, not since when. Its pause, JSON.
local queue, reason = ARGV[1], ARGV[2]
local known = redis.call('HGET', key.paused(), queue)
local since = known and cjson.decode(known).since_ms or clock()
local pause = cjson.encode({ since_ms = since, reason = reason })
redis.call('HSET', key.paused(), queue, pause)
redis.call('PUBLISH', key.wake(), queue)
return pause
