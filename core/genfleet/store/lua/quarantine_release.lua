-- quarantine_release: lets a task go, as the failed task that it is: its record is kept as long as any other. 0: it was
-- not there.
local id, by = ARGV[1], ARGV[2]
local task = read(id, 'project', 'created')
if not task.project or leave_quarantine(id, task.project) == 0 then return 0 end
local now = clock()
remember(id, { at = now, how = 'released', by = by })
redis.call('ZADD', key.expiry(), math.max(task.created + RETENTION_MS, now + RETENTION_LEAST_MS), id)
return 1
