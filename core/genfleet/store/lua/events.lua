-- events: what happened to each of some tasks after an event that the caller knows by its number.
-- For each (id, number): how many events there were so far, and those that are still kept, oldest first, up to a limit.
-- -1: there is no such task, or no longer.
local limit, answers = ARGV[1], {}
for i = 2, #ARGV, 2 do
  local id, after = ARGV[i], ARGV[i + 1]
  local task = read(id, 'state', 'events')
  answers[#answers + 1] = task.state
    and { tonumber(task.events or 0), redis.call('XRANGE', key.events(id), '(' .. after, '+', 'COUNT', limit) }
    or { -1, {} }
end
return answers
