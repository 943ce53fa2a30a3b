-- audit_add: appends an entry to the audit log, of which about the newest are kept. Its id.
local kept, entry = ARGV[1], ARGV[2]
return redis.call('XADD', key.audit(), 'MAXLEN', '~', kept, '*', 'entry', entry)
