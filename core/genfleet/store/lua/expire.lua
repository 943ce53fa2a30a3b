-- expire: records whose retention is over leave, with their place in every index; dead letters as well. Says how many
-- records.
let_through()
local now = clock()
for _, state in ipairs({ 'waiting', 'resent' }) do
  local old = redis.call('ZRANGEBYSCORE', key.dead_letters(state), '-inf', now - DEAD_LETTERS_KEPT_MS, 'LIMIT', 0, CHORE_LIMIT)
  for _, id in ipairs(old) do move_letter(id, state, nil, now) end
  if state == 'waiting' and #old > 0 then count('dropped_dead_letters', #old) end
end
return expire(now)
