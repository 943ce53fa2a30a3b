-- webhook_secret: what the webhooks of a key are signed with; makes it the one that is offered if there is none.
-- With `grace_ms`, the one that is offered takes the place of the present one, which goes on signing for so long.
local key_id, offered, grace_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local name, now = key.webhook_secret(key_id), clock()
local present = redis.call('HGET', name, 'secret')
if present and grace_ms and present ~= offered then -- not again, if the reply was lost
  redis.call('HSET', name, 'secret', offered, 'created', now, 'previous', present, 'until', now + grace_ms)
elseif not present then
  redis.call('HSET', name, 'secret', offered, 'created', now)
end
return { now, redis.call('HGETALL', name) }
