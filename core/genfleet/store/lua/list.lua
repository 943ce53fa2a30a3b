-- list: one page of a project's tasks, newest first, and how many there are. Expired ones are neither shown nor counted.
local project, state, kind, since, offset, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local index = key.index(state, kind, project)
local SHOWN = { 'state', 'project', 'type', 'data', 'result', 'created', 'updated', 'finished' }

-- The upkeep does this as well; after a long time away it may be behind.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.expiry(), '-inf', clock(), 'LIMIT', 0, CHORE_LIMIT)) do forget(id) end

local function shown(id)
  local fields = {}
  for i, value in ipairs(redis.call('HMGET', key.task(id), unpack(SHOWN))) do
    if value then
      fields[#fields + 1] = SHOWN[i]
      fields[#fields + 1] = value
    end
  end
  return { id, fields }
end

local page = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', index, '+inf', since, 'LIMIT', offset, limit)) do
  page[#page + 1] = shown(id)
end
return { redis.call('ZCOUNT', index, since, '+inf'), page }
