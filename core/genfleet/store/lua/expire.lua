-- expire: records whose retention is over leave, with their place in every index. Says how many.
local ids = redis.call('ZRANGEBYSCORE', key.expiry(), '-inf', clock(), 'LIMIT', 0, CHORE_LIMIT)
for _, id in ipairs(ids) do
  guarded(id, key.expiry(), clock(), function() forget(id) return 1 end)
end
return #ids
