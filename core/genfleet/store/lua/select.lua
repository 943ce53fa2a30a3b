-- select: the next of a project's tasks that fit, oldest first, after one that was handled already; how many there are
-- from there on, and the end of the time that is looked at (see `cancel_some.lua`). They keep their places in the index,
-- so the place to go on from is found by rank: many may have the same time.
local project, state, kind, since, before, after, after_at, limit = unpack(ARGV)
local index = key.index(state, kind, project)
if before == '' then before = clock() + 1 end

local first
if after ~= '' then
  local rank = redis.call('ZRANK', index, after)
  first = rank and rank + 1 or redis.call('ZCOUNT', index, '-inf', '(' .. after_at) -- it has expired meanwhile
else
  first = since == '-inf' and 0 or redis.call('ZCOUNT', index, '-inf', since:sub(2))
end
local left = redis.call('ZCOUNT', index, '-inf', '(' .. before) - first
local rows = {}
if left > 0 then
  for _, id in ipairs(redis.call('ZRANGE', index, first, first + math.min(limit, left) - 1)) do
    local row = redis.call('HMGET', key.task(id), 'type', 'queue', 'priority', 'created')
    if row[1] then rows[#rows + 1] = { id, unpack(row) } end
  end
end
return { math.max(0, left - tonumber(limit)), rows, tonumber(before) }
