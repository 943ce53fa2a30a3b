-- webhook_renew: the caller is still at these deliveries; each id with its token.
local lease_ms, now = tonumber(ARGV[1]), clock()
for i = 2, #ARGV, 2 do
  local id, webhook = ARGV[i], read_webhook(ARGV[i], 'token', 'host')
  if webhook.token == ARGV[i + 1] then
    redis.call('ZADD', key.outbox(webhook.host), 'XX', now + lease_ms, id)
    line_changed(webhook.host)
  end
end
return 1
