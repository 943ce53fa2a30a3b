-- cancel: ends a task that has not ended. Says the state it was in, its project, and when it ended if it is cancelled now.
-- A queued task leaves its list at once; a running one is stopped by its worker at its next beat.
let_through()
local id = ARGV[1]
local task = read_known(id)
if not task.state then return {} end
if task.state == 'cancelled' then return { 'cancelled', task.project, tonumber(read(id, 'finished').finished) } end
if not MOVES[task.state] then return { task.state, task.project } end

local now, was = clock(), task.state
cancel_task(task, now)
return { was, task.project, now }
