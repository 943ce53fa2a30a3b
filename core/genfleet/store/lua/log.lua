-- log: lines that the running attempt says of its work, each a level and a text. 0: the caller no longer holds the task.
-- `first` is the number of the first line within the attempt: lines that were heard before (the reply was lost) are skipped.
local id, token, first = ARGV[1], ARGV[2], tonumber(ARGV[3])
local task = read(id, 'state', 'token', 'logged')
if not holds(task, token) then return 0 end

local now, logged = clock(), tonumber(task.logged or 0)
for i = 4, #ARGV, 2 do
  local number = first + (i - 4) / 2
  if number > logged then
    tell(id, now, 'log', ARGV[i + 1], 'level', ARGV[i])
    logged = number
  end
end
redis.call('HSET', key.task(id), 'logged', logged)
return 1
