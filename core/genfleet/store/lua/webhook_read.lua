-- webhook_read: the delivery of one task with all its attempts. Nothing: the task has no webhook.
local id = ARGV[1]
return redis.call('EXISTS', key.webhook(id)) == 1 and delivery(id, 0) or {}
