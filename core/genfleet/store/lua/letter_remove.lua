-- letter_remove: a dead letter that nobody needs any more. 0: there is none.
local state = redis.call('HGET', key.dead_letter(ARGV[1]), 'state')
return state and move_letter(ARGV[1], state, nil, 0) or 0
