-- wait: what surrounds a queued task, to tell why it waits and for how long. JSON; nil: it does not wait.
local id = ARGV[1]
local task = read(id, 'state', 'queue', 'type', 'due', 'retries')
if task.state ~= 'queued' then return nil end
local queue = task.queue

-- Tasks that the workers who take work can run at once.
local function places()
  local total = 0
  for _, worker in ipairs(redis.call('ZRANGE', key.workers(queue), 0, -1)) do
    local about = redis.call('HGET', key.worker(worker), 'about')
    if about and redis.call('SISMEMBER', key.draining(), worker) == 0 then
      local said = cjson.decode(about)
      if said.phase == 'ready' then total = total + (said.concurrency or 0) end
    end
  end
  return total
end

local function durations(name)
  local buckets, flat = {}, redis.call('HGETALL', name)
  for i = 1, #flat, 2 do
    local bucket = flat[i]:match('^b(%d+)$')
    if bucket then buckets[#buckets + 1] = { tonumber(bucket), tonumber(flat[i + 1]) } end
  end
  return #buckets > 0 and buckets or nil
end

return cjson.encode({
  now_ms = clock(),
  queue = queue,
  position = position(id, queue),
  waiting = redis.call('ZCARD', key.waiting(queue)),
  running = redis.call('ZCARD', key.leases(queue)),
  places = places(),
  due_ms = tonumber(task.due or nil),
  attempt = tonumber(task.retries) + 1,
  paused = redis.call('HGET', key.paused(), queue) or nil,
  fleet = redis.call('GET', key.fleet(queue)) or nil,
  of_type = durations(key.durations(task.type)),
  of_queue = durations(key.service(queue)),
})
