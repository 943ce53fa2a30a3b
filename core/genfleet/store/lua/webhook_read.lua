-- webhook_read: the delivery of one task with all its attempts. Nothing: no such task. Only the id: it has no webhook.
local id = ARGV[1]
if redis.call('EXISTS', key.task(id)) == 0 then return {} end
if redis.call('EXISTS', key.webhook(id)) == 0 then return { id } end
return delivery(id, 0)
