-- remove_api_key: revokes a key. Says whether there was one.
-- What its webhooks are signed with stays for as long as a task of this key may still end, however late it was to run.
redis.call('PEXPIRE', key.webhook_secret(ARGV[1]), AHEAD_MOST_MS + RETENTION_MS)
redis.call('HDEL', key.key_uses(), ARGV[1])
return redis.call('HDEL', key.api_keys(), ARGV[1])
