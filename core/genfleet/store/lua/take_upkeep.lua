-- take_upkeep: whoever comes first in a period does the chores; every program that is up tries. 1: it is you.
let_through()
return redis.call('SET', key.upkeep(), ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
