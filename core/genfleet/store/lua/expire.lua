-- expire: records whose retention is over leave, with their place in every index; dead letters as well. Says how many
-- records.
local now = clock()
local dropped = redis.call('XTRIM', key.dead_letters(), 'MINID', string.format('%d', now - DEAD_LETTERS_KEPT_MS))
if dropped > 0 then count('dropped_dead_letters', dropped) end
return expire(now)
