-- depart: a worker says goodbye.
local worker, queue = ARGV[1], ARGV[2]
redis.call('DEL', key.worker(worker))
redis.call('ZREM', key.workers(queue), worker)
redis.call('SREM', key.draining(), worker)
return 1
