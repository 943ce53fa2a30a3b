-- progress: how far the running attempt is. Never goes backwards (NS-015). 0: the caller no longer holds the task.
local id, token, fraction, step = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local task = read(id, 'state', 'token', 'progress')
if not holds(task, token) then return 0 end

local now = clock()
fraction = math.max(fraction, tonumber(task.progress or 0))
redis.call('HSET', key.task(id), 'progress', tostring(fraction), 'step', step, 'updated', now)
tell(id, now, 'progress', tostring(fraction), 'step', step)
return 1
