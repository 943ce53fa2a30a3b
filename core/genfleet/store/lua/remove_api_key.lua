-- remove_api_key: revokes a key. Says whether there was one.
redis.call('HDEL', key.key_uses(), ARGV[1])
return redis.call('HDEL', key.api_keys(), ARGV[1])
