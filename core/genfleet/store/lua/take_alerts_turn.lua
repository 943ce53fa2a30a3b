-- take_alerts_turn: whoever comes first in a period looks for alerts; every API process tries. 1: it is you.
let_through()
return redis.call('SET', key.alerts_turn(), ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
