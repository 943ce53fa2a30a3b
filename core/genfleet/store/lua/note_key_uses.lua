-- note_key_uses: these keys were used just now.
local now = clock()
for _, id in ipairs(ARGV) do redis.call('HSET', key.key_uses(), id, now) end
return #ARGV
