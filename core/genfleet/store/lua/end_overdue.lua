-- end_overdue: tasks that have not started by their deadline end. Says how many.
let_through()
local now, ended = clock(), 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.deadlines(), '-inf', now, 'LIMIT', 0, CHORE_LIMIT)) do
  ended = ended + guarded(id, key.deadlines(), now, function() return end_overdue(read_known(id), now) end)
end
return ended
