-- quarantine_list: tasks in quarantine, newest or oldest first: of a project or of all, of a type or of every one. How many
-- fit, and a page of them.
local order, project, kind, offset, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local ward = project ~= '' and key.project_quarantine(project) or key.quarantine()

local function range(first, last) return redis.call(order == 'newest' and 'ZREVRANGE' or 'ZRANGE', ward, first, last) end

local function row(id)
  local task = redis.call('HMGET', key.task(id), 'project', 'type', 'queue', 'priority', 'created', 'quarantined', 'error')
  return task[6] and { id, unpack(task) } or nil
end

local total, rows = 0, {}
if kind == '' then
  total = redis.call('ZCARD', ward)
  for _, id in ipairs(range(offset, offset + limit - 1)) do rows[#rows + 1] = row(id) end
else
  for _, id in ipairs(range(0, -1)) do
    if redis.call('HGET', key.task(id), 'type') == kind then
      total = total + 1
      if total > offset and #rows < limit then rows[#rows + 1] = row(id) end
    end
  end
end
return { total, rows }
