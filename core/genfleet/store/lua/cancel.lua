-- cancel: ends a task that has not ended. Says the state it was in, and when it ended if it is cancelled now.
-- A queued task leaves its list at once; a running one is stopped by its worker at its next beat.
local id = ARGV[1]
local task = read_known(id)
if not task.state then return {} end
if task.state == 'cancelled' then return { 'cancelled', tonumber(read(id, 'finished').finished) } end
if not MOVES[task.state] then return { task.state } end

local now, was = clock(), task.state
if was == 'queued' then leave_line(task) end
local lease = redis.call('ZSCORE', key.leases(task.queue), id)
finish(task, 'cancelled', now)
-- The process of a running task still uses its place.
if lease then redis.call('ZADD', key.leases(task.queue), lease, id) end
return { was, now }
