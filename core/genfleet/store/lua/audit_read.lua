-- audit_read: the newest entries of the audit log, or those before an id: each with its id.
local limit, before = ARGV[1], ARGV[2]
return redis.call('XREVRANGE', key.audit(), before == '' and '+' or '(' .. before, '-', 'COUNT', limit)
