-- webhook_resend: another round of attempts for a webhook that is over. Says the state that it was in; nothing: there is none.
-- It counts against the rate of submissions, as what it sets going is the same: requests to whatever receiver somebody named.
local id, key_id, per_minute, saved_ms = unpack(ARGV)
local webhook, now = read_webhook(id, 'state', 'host', 'project', 'ended'), clock()
if not webhook.state then return {} end
if webhook.state == 'pending' then return { 'seen', webhook.state } end

local rate = rate_now(key.rate('submissions', key_id), tonumber(per_minute), tonumber(saved_ms), now)
local left, more_in_ms = left_of(rate)
if left == 0 then return { 'refused', 'submissions', more_in_ms, { left, more_in_ms, -1 } } end
spend(rate)
post_webhook(id, webhook, now)
return { 'seen', webhook.state }
