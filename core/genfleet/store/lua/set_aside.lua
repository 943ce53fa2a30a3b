-- set_aside: a message that could not be judged, with its reason; the newest ten thousand are kept.
redis.call('LPUSH', key.dead_letters(), ARGV[1])
redis.call('LTRIM', key.dead_letters(), 0, 9999)
return 1
