-- measures: everything that is counted for good, and how many webhooks are due. A flat list: the counts, the counters, the number.
return { redis.call('HGETALL', key.measures()), redis.call('HGETALL', key.counters()),
  redis.call('ZCARD', key.webhooks('pending')) }
