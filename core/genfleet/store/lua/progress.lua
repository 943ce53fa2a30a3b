-- progress: how far the running attempt is. Never goes backwards (NS-015). 0: the caller no longer holds the task.
-- Each step is an event, and within one each hundredth: a long attempt must not push its own beginning out of the stream.
local id, token, fraction, step = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local task = read(id, 'state', 'token', 'progress', 'step', 'told')
if not holds(task, token) then return 0 end

local now = clock()
fraction = math.max(fraction, tonumber(task.progress or 0))
redis.call('HSET', key.task(id), 'progress', tostring(fraction), 'step', step, 'updated', now)
if step ~= task.step or fraction - tonumber(task.told or 0) >= 0.01 then
  redis.call('HSET', key.task(id), 'told', tostring(fraction))
  tell(id, now, 'progress', tostring(fraction), 'step', step)
end
return 1
