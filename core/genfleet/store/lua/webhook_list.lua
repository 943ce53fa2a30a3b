-- webhook_list: one page of the deliveries in a state (or *), the newest first, and how many there are.
-- Those of one project, or of all where none is named.
local state, project, offset, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local index = project == '' and key.webhooks(state) or key.project_webhooks(state, project)
expire(clock())

local page = {}
for _, id in ipairs(redis.call('ZREVRANGE', index, offset, offset + limit - 1)) do
  page[#page + 1] = delivery(id, -1)
end
return { redis.call('ZCARD', index), page }
