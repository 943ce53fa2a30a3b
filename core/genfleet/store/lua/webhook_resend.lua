-- webhook_resend: another round of attempts for a webhook that is over. Says the state that it was in; nothing: there is none.
local id = ARGV[1]
local webhook = read_webhook(id, 'state', 'host', 'project', 'ended')
if not webhook.state then return {} end
if webhook.state ~= 'pending' then post_webhook(id, webhook, clock()) end
return { webhook.state }
