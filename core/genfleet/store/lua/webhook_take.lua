-- webhook_take: leases deliveries that are due, as many as the caller has room for; of hosts that are not known to answer in
-- time no more than `room_for_others`; and of one host no more than `per_host` with those that the caller is at already
-- (`busy`: host and number, in turns).
-- Says the time, in how many ms the next is due (-1: none is known), and what is needed to make the attempts.
let_through()
local room, room_for_others, per_host, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now, busy, taken = clock(), {}, {}
for i = 5, #ARGV, 2 do busy[ARGV[i]] = tonumber(ARGV[i + 1]) end

-- The courier that had it is gone, or could not report. Says whether that has happened too often to go on.
local function interrupted(id, webhook)
  redis.call('RPUSH', key.webhook_attempts(id), cjson.encode({
    at_ms = tonumber(webhook.sending), error = 'Interrupted: the process that sent it ended' }))
  redis.call('HDEL', key.webhook(id), 'sending')
  local given_up = redis.call('HINCRBY', key.webhook(id), 'interrupted', 1) >= WEBHOOK_INTERRUPTIONS_ALLOWED
  measure_webhook(given_up and 'failed' or 'retried')
  if given_up then end_webhook(id, webhook, 'failed') end
  return given_up
end

local function take(id, host, lane)
  local webhook = read_webhook(id, 'state', 'project', 'host', 'ended', 'url', 'made', 'sending', 'body')
  local task = read(id, 'state', 'key', 'project', 'type', 'traceparent')
  if not (task.state and webhook.state) then
    leave_outbox(id)
    return unpost_webhook(id, host) -- also where nothing was left but its place in line
  end
  if webhook.sending and interrupted(id, webhook) then return end
  schedule_webhook(id, host, now + lease_ms)
  redis.call('HSET', key.webhook(id), 'sending', now)
  redis.call('HDEL', key.webhook(id), 'due')
  local token = redis.call('HINCRBY', key.webhook(id), 'token', 1)
  local record = webhook.body and {} or redis.call('HGETALL', key.task(id))
  taken[#taken + 1] = { id, token, webhook.url, host, tonumber(webhook.made), task.key or '', webhook.body or '', record,
    redis.call('HGETALL', key.webhook_secret(task.key or '')), lane == 'proven' and 1 or 0, task.project or '', task.type or '', task.traceparent or '' }
end

-- Takes from a lane until so many are taken altogether.
local function take_from(lane, upto)
  local looked_at = upto + (#ARGV - 4) / 2 -- every busy host may stand in front
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', key.outbox_hosts(lane), '-inf', now, 'LIMIT', 0, looked_at)) do
    local free = math.min(per_host - (busy[host] or 0), upto - #taken)
    if free > 0 then
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.outbox(host), '-inf', now, 'LIMIT', 0, free)) do
        guarded(id, key.outbox(host), now, function() return take(id, host, lane) end)
      end
      line_changed(host)
    end
  end
end

take_from('proven', room)
take_from('other', math.min(room, #taken + room_for_others))

local next_at
for _, lane in ipairs({ 'proven', 'other' }) do
  local first = redis.call('ZRANGEBYSCORE', key.outbox_hosts(lane), '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] then next_at = math.min(next_at or first[2], first[2]) end
end
return { now, next_at and math.ceil(next_at - now) or -1, taken }
