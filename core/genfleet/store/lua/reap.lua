-- reap: leases that ran out. Their tasks are back in line, under a new token, within a second or two of that.
-- Says how many. Also forgets workers that have been silent for too long.
let_through()
local lease_ms, gap_ms, silence_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, reaped = clock(), 0

-- Nobody has looked for a while: Redis was away, or everyone was. Then nobody could renew either, so leases have run out
-- without any worker being lost. They get one lease of grace.
local last = tonumber(redis.call('GET', key.last_reap()) or 0)
local away = now - last > gap_ms
redis.call('SET', key.last_reap(), now)

local function reap(id, leases)
  redis.call('ZREM', leases, id)
  local task = read_known(id)
  if task.state ~= 'processing' then return 0 end
  lose_worker(task, now, 'its worker stopped answering')
  return 1
end

local function prolong(leases)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now + lease_ms)) do
    redis.call('ZADD', leases, now + lease_ms, id)
  end
end

for i = 4, #ARGV do
  local queue = ARGV[i]
  local leases = key.leases(queue)
  if away then prolong(leases) end
  -- Each becomes next in line, so the one that has waited longest comes last.
  local lost = redis.call('ZREVRANGEBYSCORE', leases, now, '-inf', 'LIMIT', 0, CHORE_LIMIT)
  for _, id in ipairs(lost) do
    reaped = reaped + guarded(id, leases, now, function() return reap(id, leases) end)
  end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key.workers(queue), '-inf', now - silence_ms)) do
    redis.call('ZREM', key.workers(queue), worker)
    redis.call('SREM', key.draining(), worker)
  end
end
return reaped
