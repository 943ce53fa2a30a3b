-- set_aside: what could not be judged, with its reason, and names and values of what is known of it.
-- A task of ours that waits gets another message (`recover`), which is as bad if its worker does not know its type yet. So
-- such a task has one letter for a reason, with the number of times that it came.
-- Done although memory is full: what is kept has just left its list, and there is no more of it than so much.
let_through()
local reason, known = ARGV[1], {}
for i = 2, #ARGV, 2 do known[ARGV[i]] = ARGV[i + 1] end
local now = clock()
-- Whatever lies under its key: it may be the record that is broken.
local readable, task = pcall(read, known.task_id or '', 'state', 'letter')

if known.tag then
  redis.call('HDEL', UNACKED, known.tag)
  redis.call('ZREM', UNACKED_INDEX, known.tag)
end
local waits = readable and task.state == 'queued'
if waits and task.letter then
  local letter = redis.call('HMGET', key.dead_letter(task.letter), 'state', 'reason')
  if letter[1] == 'waiting' and letter[2] == reason then
    redis.call('HINCRBY', key.dead_letter(task.letter), 'times', 1)
    redis.call('HSET', key.dead_letter(task.letter), 'last', now)
    return 0
  end
end
local id = set_aside(now, unpack(ARGV))
if waits then redis.call('HSET', key.task(task.id), 'letter', id) end
return 1
