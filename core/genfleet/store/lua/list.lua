-- list: one page of a project's tasks, newest first, and how many there are. Expired ones are neither shown nor counted.
-- A page moves what a list shows and no more: a document above SHOWN_IN_LISTS stays here, and its size goes instead.
local project, state, kind, since, before, offset, limit, with_data, with_result = unpack(ARGV)
offset, limit = tonumber(offset), tonumber(limit)
local index, now = key.index(state, kind, project), clock()

-- Those of `ids` whose record is still to be shown.
local function unexpired(ids)
  local kept = {}
  for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    local ends = redis.call('ZMSCORE', key.expiry(), unpack(ids, first, last))
    for i, at in ipairs(ends) do
      if not at or tonumber(at) > now then kept[#kept + 1] = ids[first + i - 1] end
    end
  end
  return kept
end

local total, ids
if expire(now) < CHORE_LIMIT then
  -- By rank, so that a page far back, or of a large project, costs what the first page of a small one does.
  local newer = redis.call('ZCOUNT', index, before, '+inf')
  total = math.max(0, redis.call('ZCOUNT', index, since, '+inf') - newer) -- `before` may be before `since`
  ids = offset < total and redis.call('ZREVRANGE', index, newer + offset, newer + math.min(offset + limit, total) - 1) or {}
else
  -- After a long time away, the chores are still behind: then it is seen for each task whether it has expired.
  local kept = unexpired(redis.call('ZREVRANGEBYSCORE', index, '(' .. before, since))
  total, ids = #kept, { unpack(kept, offset + 1, math.min(offset + limit, #kept)) }
end

local function document(id, name, wanted)
  if wanted == '0' then return false, 0 end
  local size = redis.call('HSTRLEN', key.task(id), name)
  return size <= SHOWN_IN_LISTS and redis.call('HGET', key.task(id), name), size
end

local rows = {}
for i, id in ipairs(ids) do
  local data, data_size = document(id, 'data', with_data)
  local result, result_size = document(id, 'result', with_result)
  rows[i] = { id, redis.call('HMGET', key.task(id), 'state', 'type', 'created', 'updated', 'finished'),
    data, data_size, result, result_size }
end
return { total, rows }
