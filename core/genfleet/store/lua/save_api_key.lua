-- save_api_key: keeps a key, if it still is what the caller saw. Says whether it is kept, also if it was before.
local id, entry, seen = unpack(ARGV)
local kept = redis.call('HGET', key.api_keys(), id)
if kept ~= entry and (kept or '') ~= seen then return 0 end
redis.call('HSET', key.api_keys(), id, entry)
return 1
