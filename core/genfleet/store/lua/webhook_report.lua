-- webhook_report: what came of an attempt. `to`: `delivered`, `failed` (for good), or `pending`: again after `delay_ms`.
-- 1: noted. 0: refused, the delivery is no longer the caller's, or this is a repeat.
-- `in_time`: whether the receiver gave any answer before its time was over.
let_through()
local id, token, attempt, to, delay_ms, in_time = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local webhook = read_webhook(id, 'state', 'token', 'host', 'project', 'ended', 'sending')
if webhook.token ~= token or not webhook.sending then return 0 end

local now = clock()
note_host(webhook.host, in_time, now)
measure_webhook(to == 'pending' and 'retried' or to)
redis.call('RPUSH', key.webhook_attempts(id), attempt)
redis.call('LTRIM', key.webhook_attempts(id), -WEBHOOK_ATTEMPTS_KEPT, -1)
redis.call('HINCRBY', key.webhook(id), 'made', 1)
redis.call('HDEL', key.webhook(id), 'sending')
if to == 'pending' then
  redis.call('HSET', key.webhook(id), 'due', now + delay_ms)
  schedule_webhook(id, webhook.host, now + delay_ms)
else
  end_webhook(id, webhook, to)
end
return 1
