-- The outbox: webhooks that are to be delivered. A task enters it in the very step that ends it, with nothing outside of
-- Redis, so no webhook is lost with a program; the API's processes empty it (`genfleet_service.webhooks`).
-- Hosts take turns: each has a line of its own (`outbox`), and `outbox_hosts` says where something is due. So a receiver
-- that hangs holds up nobody else, however much waits for it. To lease a delivery is to move it back in its line.
-- There are two lanes of hosts: of those that answered in time when last asked, and of the others, which couriers give a
-- part of their room. So hosts that hang cannot take all of it, however many they are.

-- Of a callback URL, without the port: many ports of one machine are one receiver.
local function host_of(url) return url:lower():match('^https?://([^/?#:]*)') or '' end

-- A line has changed: says when its first is due, in the lane of its host.
local function line_changed(host)
  local first = redis.call('ZRANGE', key.outbox(host), 0, 0, 'WITHSCORES')
  redis.call('ZREM', key.outbox_hosts('proven'), host)
  redis.call('ZREM', key.outbox_hosts('other'), host)
  if not first[1] then return end
  local lane = redis.call('ZSCORE', key.proven_hosts(), host) and 'proven' or 'other'
  redis.call('ZADD', key.outbox_hosts(lane), first[2], host)
end

-- Whether a host answered in time. What it answered does not matter here.
local function note_host(host, in_time, now)
  if in_time then
    redis.call('ZADD', key.proven_hosts(), now, host)
    redis.call('ZREMRANGEBYRANK', key.proven_hosts(), 0, -PROVEN_HOSTS_KEPT - 1)
  else
    redis.call('ZREM', key.proven_hosts(), host)
  end
end

local function schedule_webhook(id, host, at)
  redis.call('ZADD', key.outbox(host), at, id)
  line_changed(host)
end

local function unpost_webhook(id, host)
  redis.call('ZREM', key.outbox(host), id)
  line_changed(host)
end

local function read_webhook(id, ...)
  local names, webhook = { ... }, {}
  for i, value in ipairs(redis.call('HMGET', key.webhook(id), ...)) do webhook[names[i]] = value end
  return webhook
end

local function list_webhook(id, project, state, ended)
  redis.call('ZADD', key.webhooks(state), ended, id)
  redis.call('ZADD', key.project_webhooks(state, project), ended, id)
end

local function unlist_webhook(id, project, state)
  redis.call('ZREM', key.webhooks(state), id)
  redis.call('ZREM', key.project_webhooks(state, project), id)
end

-- What came of an attempt is counted for good (`contract/measures.py`).
local function measure_webhook(outcome) redis.call('HINCRBY', key.measures(), 'webhooks|' .. outcome, 1) end

-- The one place where the state of a delivery changes.
local function move_webhook(id, webhook, to)
  if webhook.state then unlist_webhook(id, webhook.project, webhook.state) end
  list_webhook(id, webhook.project, to, webhook.ended)
  redis.call('HSET', key.webhook(id), 'state', to)
end

-- Ends a round of attempts: `delivered` or `failed`.
local function end_webhook(id, webhook, to)
  move_webhook(id, webhook, to)
  unpost_webhook(id, webhook.host)
  redis.call('HINCRBY', key.counters(), 'webhooks_' .. to, 1)
end

-- Begins a round of attempts, the first of them at once.
local function post_webhook(id, webhook, now)
  move_webhook(id, webhook, 'pending')
  redis.call('HSET', key.webhook(id), 'made', 0, 'interrupted', 0, 'due', now)
  schedule_webhook(id, webhook.host, now)
  redis.call('PUBLISH', key.outbox_wake(), '')
end

-- A task has ended, and somebody asked to be told (TS-122).
local function enter_outbox(task, now)
  if (task.callback or '') == '' then return end
  local webhook = { project = task.project, host = host_of(task.callback), ended = now }
  redis.call('HSET', key.webhook(task.id), 'url', task.callback, 'host', webhook.host, 'project', task.project,
    'ended', now, 'token', 0)
  list_webhook(task.id, task.project, '*', now)
  post_webhook(task.id, webhook, now)
end

-- A task's record goes, and its webhook with it.
local function leave_outbox(id)
  local webhook = read_webhook(id, 'state', 'host', 'project')
  if not webhook.state then return end
  unpost_webhook(id, webhook.host)
  unlist_webhook(id, webhook.project, webhook.state)
  unlist_webhook(id, webhook.project, '*')
  redis.call('DEL', key.webhook(id), key.webhook_attempts(id))
end

-- A delivery for people to see, with its attempts from number `first` on (-1: the last). Without the body, which is large.
local function delivery(id, first)
  local task = redis.call('HMGET', key.task(id), 'project', 'type', 'state')
  local webhook = redis.call('HMGET', key.webhook(id), 'state', 'url', 'ended', 'made', 'due')
  return { id, task, webhook, redis.call('LRANGE', key.webhook_attempts(id), first, -1) }
end
