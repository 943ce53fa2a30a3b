-- promote: retries whose time has come get in line. Says how many.
local now, promoted = clock(), 0
for _, queue in ipairs(ARGV) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.scheduled(queue), '-inf', now, 'LIMIT', 0, CHORE_LIMIT)) do
    redis.call('ZREM', key.scheduled(queue), id)
    local task = read_known(id)
    if task.state == 'queued' then
      redis.call('HDEL', key.task(id), 'due')
      push(task, now, now, false)
      promoted = promoted + 1
    end
  end
end
return promoted
