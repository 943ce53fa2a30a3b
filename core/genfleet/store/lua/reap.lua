-- reap: leases that ran out. Their tasks are back in line, under a new token, within a second or two of that.
-- Says how many. Also forgets workers that have been silent for too long.
local lease_ms, silence_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local now, reaped = clock(), 0

-- Nobody has looked for longer than a lease: Redis was away, or everyone was. Then nobody could renew either, so every
-- lease has run out without any worker being lost. They get one lease of grace.
local last = tonumber(redis.call('GET', key.last_reap()) or 0)
local away = now - last > lease_ms
redis.call('SET', key.last_reap(), now)

for i = 3, #ARGV do
  local queue = ARGV[i]
  local leases = key.leases(queue)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, CHORE_LIMIT)) do
    if away then
      redis.call('ZADD', leases, now + lease_ms, id)
    else
      redis.call('ZREM', leases, id)
      local task = read_known(id)
      if task.state == 'processing' then
        lose_worker(task, now, 'its worker stopped answering')
        reaped = reaped + 1
      end
    end
  end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key.workers(queue), '-inf', now - silence_ms)) do
    redis.call('ZREM', key.workers(queue), worker)
    redis.call('SREM', key.draining(), worker)
  end
end
return reaped
