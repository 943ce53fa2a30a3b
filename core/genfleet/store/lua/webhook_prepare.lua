-- webhook_prepare: keeps the body and the secret that the first attempt is made with. If another was first, its are kept.
-- Says both; nothing if the delivery is gone.
let_through()
local id, body, key_id, secret = unpack(ARGV)
if redis.call('EXISTS', key.webhook(id)) == 0 then return {} end
redis.call('HSETNX', key.webhook(id), 'body', body)
if redis.call('HSETNX', key.webhook_secret(key_id), 'secret', secret) == 1 then
  redis.call('HSET', key.webhook_secret(key_id), 'created', clock())
end
return { redis.call('HGET', key.webhook(id), 'body'), redis.call('HGETALL', key.webhook_secret(key_id)) }
