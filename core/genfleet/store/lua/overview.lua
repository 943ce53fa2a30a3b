-- overview: the lasting counters, the recent outcomes, and what has run for long. JSON.
local long_ms, window_minutes = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock()

local counters, flat = {}, redis.call('HGETALL', key.counters())
for i = 1, #flat, 2 do counters[flat[i]] = tonumber(flat[i + 1]) end

local recent = { completed = 0, failed = 0 }
for minute = 0, window_minutes - 1 do
  local row = redis.call('HMGET', key.outcomes(math.floor(now / 60000) - minute), 'completed', 'failed')
  recent.completed = recent.completed + tonumber(row[1] or 0)
  recent.failed = recent.failed + tonumber(row[2] or 0)
end

local running, long = 0, {}
for i = 3, #ARGV do
  for _, id in ipairs(redis.call('ZRANGE', key.leases(ARGV[i]), 0, -1)) do
    local task = read(id, 'state', 'started')
    if task.state == 'processing' then
      running = running + 1
      if now - task.started > long_ms then long[#long + 1] = { id = id, run_ms = now - task.started } end
    end
  end
end
return cjson.encode({ now_ms = now, counters = counters, recent = recent, running = running, long = #long > 0 and long or nil })
