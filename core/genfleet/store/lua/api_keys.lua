-- api_keys: the time, every key that was made, and when each key was last used.
return { clock(), redis.call('HGETALL', key.api_keys()), redis.call('HGETALL', key.key_uses()) }
