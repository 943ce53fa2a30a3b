-- list: one page of a project's tasks, newest first, and how many there are. Expired ones are neither shown nor counted.
local project, state, kind, since, offset, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local index = key.index(state, kind, project)

-- The upkeep does this as well; after a long time away it may be behind.
expire(clock())

local page = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', index, '+inf', since, 'LIMIT', offset, limit)) do
  page[#page + 1] = { id, redis.call('HGETALL', key.task(id)) }
end
return { redis.call('ZCOUNT', index, since, '+inf'), page }
