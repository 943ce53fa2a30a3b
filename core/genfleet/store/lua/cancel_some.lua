-- cancel_some: cancels the oldest of a project's tasks that fit, so many at most. How many, how many are left, and the
-- end of the time that was looked at: where none is given that is now, so that what comes later is left alone.
-- Those that are cancelled fit no more, so it goes on where it stopped when it is asked again.
let_through()
local project, state, kind, since, before, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local index, now, done = key.index(state, kind, project), clock(), 0
if before == '' then before = now + 1 end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, since, '(' .. before, 'LIMIT', 0, limit)) do
  done = done + guarded(id, index, now, function()
    cancel_task(read_known(id), now)
    return 1
  end)
end
return { done, redis.call('ZCOUNT', index, since, '(' .. before), tonumber(before) }
