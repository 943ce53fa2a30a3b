-- letter_list: a page of the dead letters in a state, newest first, of one queue or of all; and how many there are. Without
-- what they were, which may be large.
local state, queue, offset, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local total, rows = 0, {}
for _, id in ipairs(redis.call('ZREVRANGE', key.dead_letters(state), 0, -1)) do
  local of = redis.call('HGET', key.dead_letter(id), 'queue')
  if queue == '' or of == queue then
    total = total + 1
    if total > offset and #rows < limit then
      local names = { 'state', 'at', 'reason', 'queue', 'task_id', 'task_type', 'worker', 'size', 'resent', 'by', 'times', 'last' }
      local values, row = redis.call('HMGET', key.dead_letter(id), unpack(names)), {}
      for i, name in ipairs(names) do
        if values[i] then row[#row + 1], row[#row + 2] = name, values[i] end
      end
      rows[#rows + 1] = { id, row }
    end
  end
end
return { total, rows }
