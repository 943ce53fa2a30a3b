-- observe: everything the scaling decision needs, of all queues, in one look. JSON, a list in the order asked.
local soon_ms = tonumber(ARGV[1])
local now, seen = clock(), {}

-- The scores of a priority: from, and up to but not including.
local function bounds(priority) return turn(priority, 0), '(' .. string.format('%.0f', turn(priority + 1, 0)) end

local function by_priority(queue)
  local counts = {}
  for priority = 1, 3 do
    local from, to = bounds(priority)
    counts[priority] = redis.call('ZCOUNT', key.waiting(queue), from, to)
  end
  return counts
end

local function oldest(queue)
  local first
  for priority = 1, 3 do
    local from, to = bounds(priority)
    local row = redis.call('ZRANGEBYSCORE', key.waiting(queue), from, to, 'WITHSCORES', 'LIMIT', 0, 1)
    if row[2] then
      local at = tonumber(row[2]) - turn(priority, 0)
      if not first or at < first then first = at end
    end
  end
  return first and math.max(0, now - first)
end

-- How many tasks each worker holds. A lease tells it at once; a worker's own beat may be two seconds old.
local function holders(queue)
  local held = {}
  for _, id in ipairs(redis.call('ZRANGE', key.leases(queue), 0, -1)) do
    local worker = redis.call('HGET', key.task(id), 'worker')
    if worker then held[worker] = (held[worker] or 0) + 1 end
  end
  return held
end

local function workers(queue)
  local all, held = {}, holders(queue)
  for _, id in ipairs(redis.call('ZRANGE', key.workers(queue), 0, -1)) do
    local row = redis.call('HMGET', key.worker(id), 'about', 'seen')
    if row[1] then
      all[#all + 1] = {
        id = id,
        about = row[1],
        held = held[id] or 0,
        silent_ms = now - row[2],
        draining = redis.call('SISMEMBER', key.draining(), id),
      }
    end
  end
  return #all > 0 and all or nil
end

for i = 2, #ARGV do
  local queue = ARGV[i]
  seen[#seen + 1] = {
    queue = queue,
    waiting = redis.call('ZCARD', key.waiting(queue)),
    by_priority = by_priority(queue),
    running = redis.call('ZCARD', key.leases(queue)),
    scheduled = redis.call('ZCARD', key.scheduled(queue)),
    due = redis.call('ZCOUNT', key.scheduled(queue), '-inf', now + soon_ms),
    oldest_wait_ms = oldest(queue) or nil,
    service_ms = tonumber(redis.call('HGET', key.service(queue), 'mean_ms') or nil),
    workers = workers(queue),
    paused = redis.call('HGET', key.paused(), queue) or nil,
    fleet = redis.call('GET', key.fleet(queue)) or nil,
  }
end
-- What waits for people. Whatever lies under these keys, it blinds nobody who looks at the queues.
local function size(name)
  local number = redis.pcall('ZCARD', name)
  return type(number) == 'number' and number or 0
end
local quarantined, letters = size(key.quarantine()), size(key.dead_letters('waiting'))
return cjson.encode({ now_ms = now, queues = seen, quarantined = quarantined, dead_letters = letters })
