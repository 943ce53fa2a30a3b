-- expire: records whose retention is over leave, with their place in every index. Says how many.
local ids = redis.call('ZRANGEBYSCORE', key.expiry(), '-inf', clock(), 'LIMIT', 0, CHORE_LIMIT)
for _, id in ipairs(ids) do forget(id) end
return #ids
