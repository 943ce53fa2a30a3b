-- release: a worker gives up what it runs: its child died (`lost`), or it has to stop (`handed_back`).
-- 1: the task waits again, or has failed for good. 0: it was no longer the caller's.
let_through()
local id, token, how, why = unpack(ARGV)
local task = read_known(id)
if not holds(task, token) then
  if task.state and task.token == token then redis.call('ZREM', key.leases(task.queue), id) end
  return 0
end
local now = clock()
if how == 'lost' then lose_worker(task, now, why) else hand_back(task, now, why) end
return 1
