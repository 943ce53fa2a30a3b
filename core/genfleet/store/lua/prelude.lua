-- What the steps share. `scripts.py` puts this in front of every step, and in front of this: the constants in CAPITALS,
-- `key.<kind>(...)` from `contract/keys.py`, `MOVES` from `contract/states.py`, `message(...)` from the template, and
-- `outbox.lua`.
-- Time is the clock of Redis, in milliseconds since the epoch; no other clock decides anything.

-- What goes on with work that was accepted is done although memory is full. Redis refuses only the first write of a script,
-- and only one that may take memory; so the first one takes none. What begins work does not call this, and is refused.
local function let_through() redis.call('DEL', key.probe()) end

local function clock()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The same with the fraction of a millisecond, so that no two tasks have the same turn.
local function instant()
  local now = redis.call('TIME')
  return now[1] * 1000 + now[2] / 1000
end

-- The named fields of a record, as a table; a field that is not there is false.
local function read(id, ...)
  local names, task = { ... }, { id = id }
  for i, value in ipairs(redis.call('HMGET', key.task(id), ...)) do task[names[i]] = value end
  return task
end

-- The fields that `move` and `push` need.
local function read_known(id)
  return read(id, 'state', 'token', 'project', 'type', 'queue', 'priority', 'created', 'begins', 'ready', 'started',
    'retries', 'crashes', 'deliveries', 'callback', 'gpus')
end

-- Where a task stands among those that wait: by priority, then by time. Both fit a double, to 4 µs.
local function turn(priority, at) return priority * 1e13 + at end

local function place_in_index(id, project, kind, state, created)
  redis.call('ZADD', key.index(state, '*', project), created, id)
  redis.call('ZADD', key.index(state, kind, project), created, id)
end

local function remove_from_index(id, project, kind, state)
  redis.call('ZREM', key.index(state, '*', project), id)
  redis.call('ZREM', key.index(state, kind, project), id)
end

-- Says what happened to a task, to whoever listens now or reads later. Events are numbered from 1 without a gap, so a
-- reader can tell whether one is missing; the message only says that there is something to read.
local function tell(id, now, ...)
  local number = redis.call('HINCRBY', key.task(id), 'events', 1)
  if number == 1 then redis.call('DEL', key.events(id)) end -- of a record that is gone: its numbers would be in the way
  redis.call('XADD', key.events(id), 'MAXLEN', '~', EVENTS_KEPT, number .. '-0', 'at', now, ...)
  redis.call('PUBLISH', key.events(id), '')
end

-- What is counted for good (`contract/measures.py`): how often something happened to tasks of a queue and type.
local function measure(task, name, word, by)
  if not (task.queue and task.type) then return end -- a broken record: whoever cannot go on with it says so
  redis.call('HINCRBY', key.measures(), name .. '|' .. task.queue .. '|' .. task.type .. (word and '|' .. word or ''), by or 1)
end

-- The same for how long something took: a count in its bucket, and the sum.
local function measure_time(task, name, took)
  local bucket = #BOUNDS_MS
  while bucket > 0 and took <= BOUNDS_MS[bucket] do bucket = bucket - 1 end
  measure(task, name, bucket)
  measure(task, name, 'ms', math.max(took, 0))
end

local function day_of(now) return math.floor(now / 86400000) end

-- What a project used, by day and task type: names and numbers in turn. Kept when the tasks themselves are long gone.
local function use(task, now, ...)
  local day, used = key.usage(task.project, day_of(now)), { ... }
  for i = 1, #used, 2 do redis.call('HINCRBY', day, task.type .. ':' .. used[i], used[i + 1]) end
  redis.call('EXPIRE', day, USAGE_KEPT_DAYS * 86400)
end

-- An attempt is over, whatever came of it: its worker was at work all the time.
local function use_attempt(task, now, outcome)
  local ran = now - (task.started or now)
  measure(task, 'attempts', outcome)
  measure_time(task, 'run', ran)
  use(task, now, 'attempts', 1, 'run_ms', ran, 'gpu_ms', math.floor(ran * tonumber(task.gpus or 0)))
end

-- The one place where a state changes. `...` are further fields of the record, by name and value. `task.outcome` says how an
-- attempt ended where the state does not.
local function move(task, to, now, ...)
  if not (MOVES[task.state] and MOVES[task.state][to]) then
    error('a task may not go from ' .. tostring(task.state) .. ' to ' .. to)
  end
  if task.state == 'processing' then use_attempt(task, now, task.outcome or to) end
  remove_from_index(task.id, task.project, task.type, task.state)
  place_in_index(task.id, task.project, task.type, to, task.created)
  redis.call('HSET', key.task(task.id), 'state', to, 'updated', now, ...)
  if to == 'processing' then
    tell(task.id, now, 'state', to, 'attempt', task.retries + 1)
  else
    tell(task.id, now, 'state', to)
  end
  task.state = to
end

local function celery_message(task, delivery)
  return message(task.id, task.type, broker(task.queue), task.priority, task.token, task.id .. '.' .. delivery)
end

local function message_list(task) return broker_list(task.queue, task.priority) end

-- Hands a queued task to the workers. Its turn is by `at`; `head` puts its message next in line.
local function push(task, now, at, head)
  redis.call('ZADD', key.waiting(task.queue), turn(task.priority, at), task.id)
  task.deliveries = redis.call('HINCRBY', key.task(task.id), 'deliveries', 1)
  redis.call('HSET', key.task(task.id), 'pushed', now)
  redis.call(head and 'RPUSH' or 'LPUSH', message_list(task), celery_message(task, task.deliveries))
  redis.call('PUBLISH', key.wake(), task.queue)
end

-- kombu keeps what it delivered until it is acknowledged; a worker that is gone will not do that.
local function forget_delivery(task)
  local tag = task.id .. '.' .. (task.deliveries or 0)
  redis.call('HDEL', UNACKED, tag)
  redis.call('ZREM', UNACKED_INDEX, tag)
end

local function count(name, by) redis.call('HINCRBY', key.counters(), name, by or 1) end

-- What recent outcomes were, by minute: lasting counters hide a fresh outage (TS-076).
local function count_outcome(to, now)
  local minute = key.outcomes(math.floor(now / 60000))
  redis.call('HINCRBY', minute, to, 1)
  redis.call('EXPIRE', minute, OUTCOMES_KEPT_S)
end

-- Nothing is left to do in this queue: who sizes its fleet starts to count how long its workers idle.
local function wake_if_idle(queue)
  if redis.call('ZCARD', key.leases(queue)) + redis.call('ZCARD', key.waiting(queue)) == 0 then
    redis.call('PUBLISH', key.wake(), queue)
  end
end

-- Ends a task. A finished record stays for its retention, and at least an hour. That is counted from its creation (TS-036);
-- if it was submitted for later, from then: it would be over before the work had begun.
local function finish(task, to, now, ...)
  move(task, to, now, 'finished', now, ...)
  redis.call('ZREM', key.leases(task.queue), task.id)
  redis.call('EXPIRE', key.events(task.id), EVENTS_KEPT_S)
  local from = math.min(tonumber(task.begins or task.created), now)
  redis.call('ZADD', key.expiry(), math.max(from + RETENTION_MS, now + RETENTION_LEAST_MS), task.id)
  count(to .. '_tasks')
  measure(task, 'ended', to)
  use(task, now, to, 1)
  if to ~= 'cancelled' then
    count_outcome(to, now)
    enter_outbox(task, now)
  end
  wake_if_idle(task.queue)
end

-- A queued task waits no longer, and its message is gone as well.
local function leave_line(task)
  redis.call('ZREM', key.waiting(task.queue), task.id)
  redis.call('ZREM', key.scheduled(task.queue), task.id)
  redis.call('ZREM', key.deadlines(), task.id)
  local list, sent = message_list(task), celery_message(task, task.deliveries)
  -- Looking through a very long list would hold up everyone; whoever takes the message drops it. The next in line is
  -- found at once, however long the list is.
  if redis.call('LINDEX', list, -1) == sent or redis.call('LLEN', list) <= LIST_SEARCHED then
    redis.call('LREM', list, -1, sent)
  end
end

-- Cancels a task that has not ended.
local function cancel_task(task, now)
  if task.state == 'queued' then leave_line(task) end
  local lease = redis.call('ZSCORE', key.leases(task.queue), task.id)
  finish(task, 'cancelled', now)
  -- The process of a running task still uses its place.
  if lease then redis.call('ZADD', key.leases(task.queue), lease, task.id) end
end

-- A task that has not started by its deadline has failed: there is no other state for it (TS-160). 1: it ended now.
local function end_overdue(task, now)
  redis.call('ZREM', key.deadlines(), task.id)
  if task.state ~= 'queued' then return 0 end
  leave_line(task)
  finish(task, 'failed', now, 'error', 'Its deadline passed before it could start')
  count('overdue_tasks')
  return 1
end

-- What the record says of an attempt that is over.
local function clear_attempt(id)
  redis.call('HDEL', key.task(id), 'progress', 'step', 'told', 'logged', 'started', 'worker')
end

-- Adds to a task's story: attempts that did not end it, and what people did about it. It outlives the events, and is
-- short: the newest chapters, a line of JSON each.
local function remember(id, chapter)
  local story = (redis.call('HGET', key.task(id), 'story') or '') .. cjson.encode(chapter) .. '\n'
  if select(2, story:gsub('\n', '')) > STORY_KEPT then story = story:match('\n(.*)') end
  redis.call('HSET', key.task(id), 'story', story)
end

-- An attempt is over and the task is not: who ran it, since when, and why it ended. Before the record forgets it.
local function remember_attempt(task, now, how, why)
  local worker = redis.call('HGET', key.task(task.id), 'worker') or nil
  remember(task.id, { at = now, how = how, why = why, attempt = task.retries + 1, worker = worker,
    began = tonumber(task.started) })
  return worker or ''
end

-- Puts running work back, next in line, under a new token: whoever held it is fenced off from now on.
local function back_to_queue(task, now)
  task.token = redis.call('HINCRBY', key.task(task.id), 'token', 1)
  redis.call('HSET', key.task(task.id), 'ready', now)
  forget_delivery(task)
  redis.call('ZREM', key.leases(task.queue), task.id)
  move(task, 'queued', now)
  clear_attempt(task.id)
  push(task, now, tonumber(task.created), true)
end

-- Poison, or anything else that people have to look at: kept for longer, where they find it. The newest; what falls out
-- for those is counted, and stays a failed task.
local function quarantine(task, now)
  redis.call('HSET', key.task(task.id), 'quarantined', now)
  redis.call('ZADD', key.quarantine(), now, task.id)
  redis.call('ZADD', key.project_quarantine(task.project), now, task.id)
  redis.call('ZADD', key.expiry(), now + QUARANTINE_KEPT_MS, task.id)
  count('quarantined_tasks')
  if redis.call('ZCARD', key.quarantine()) > QUARANTINE_MOST then
    local oldest = redis.call('ZPOPMIN', key.quarantine())[1]
    redis.call('ZREM', key.project_quarantine(read(oldest, 'project').project or ''), oldest)
    count('dropped_quarantined')
  end
end

-- 1: it was in quarantine, and is no more.
local function leave_quarantine(id, project)
  redis.call('ZREM', key.project_quarantine(project), id)
  redis.call('HDEL', key.task(id), 'quarantined')
  return redis.call('ZREM', key.quarantine(), id)
end

-- Somebody submits an ended task again: a new task, whose workers' losses are counted from none. If it was in
-- quarantine, that is over: the new one may end there.
local function note_retry(id, now, as, key_id)
  local project = read(id, 'project').project
  if not project then return end -- its record is gone
  leave_quarantine(id, project)
  remember(id, { at = now, how = 'retried', as = as, by = key_id })
end

-- The worker of a running task is gone. Back to the queue, until it has taken too many workers with it.
local function lose_worker(task, now, why)
  task.outcome = 'lost'
  local crashes = redis.call('HINCRBY', key.task(task.id), 'crashes', 1)
  count('lost_workers')
  local worker = remember_attempt(task, now, 'lost', why)
  redis.call('HSET', key.task(task.id), 'last_error', 'Its worker was lost: ' .. why)
  tell(task.id, now, 'lost', why, 'worker', worker)
  if crashes < CRASHES_ALLOWED then return back_to_queue(task, now) end
  forget_delivery(task)
  finish(task, 'failed', now, 'error', 'Gave up: ' .. crashes .. ' workers were lost while they ran this task (' .. why .. ')')
  quarantine(task, now)
end

-- Its worker has to stop. Nothing is counted against the task.
local function hand_back(task, now, why)
  task.outcome = 'handed_back'
  tell(task.id, now, 'handed_back', why, 'worker', remember_attempt(task, now, 'handed_back', why))
  back_to_queue(task, now)
end

-- A dead letter moves to another state: `waiting` for somebody to look at it, `resent`, or none, and it is gone.
local function move_letter(id, from, to, now)
  redis.call('ZREM', key.dead_letters(from), id)
  if not to then return redis.call('DEL', key.dead_letter(id)) end
  redis.call('ZADD', key.dead_letters(to), now, id)
  redis.call('HSET', key.dead_letter(id), 'state', to)
  if redis.call('ZCARD', key.dead_letters(to)) > DEAD_LETTERS_MOST then
    redis.call('DEL', key.dead_letter(redis.call('ZPOPMIN', key.dead_letters(to))[1]))
    if to == 'waiting' then count('dropped_dead_letters') end
  end
end

-- Keeps what could not be judged, for people to look at: a reason, and names and values of what else is known.
local function set_aside(now, reason, ...)
  local id = redis.call('HINCRBY', key.counters(), 'dead_letters', 1)
  redis.call('HSET', key.dead_letter(id), 'at', now, 'last', now, 'times', 1, 'reason', reason, ...)
  move_letter(id, 'new', 'waiting', now)
  return id
end

-- Does a chore for one task. A record that is broken must not keep the others from theirs: it leaves `zset` for the dead
-- letters, where people find it.
local function guarded(id, zset, now, chore)
  local done, result = pcall(chore)
  if done then return result end
  redis.call('ZREM', zset, id)
  set_aside(now, tostring(result), 'task_id', id)
  return 0
end

-- Whether the caller still holds the task: it runs, and under the caller's token.
local function holds(task, token) return task.state == 'processing' and task.token == token end

-- Whether nothing of this queue may start (docs/tasks.md).
local function is_paused(queue) return redis.call('HEXISTS', key.paused(), queue) == 1 end

-- Where a waiting task stands; 1 is next (NS-016). 0: it does not wait.
local function position(id, queue)
  local rank = redis.call('ZRANK', key.waiting(queue), id)
  return rank and rank + 1 or 0
end

-- Whether so many are as many as may be. 0: there is no limit.
local function reached(limit, number) return tonumber(limit) > 0 and number >= tonumber(limit) end

-- A rate, as it is now (TS-153). GCRA: a bucket of tokens in one number, the time at which it will be full again.
local function rate_now(name, per_minute, saved_ms, now)
  if per_minute == 0 then return { unlimited = true } end
  local one_ms = 60000 / per_minute
  local most_ms = math.max(saved_ms, one_ms)
  -- No more than the most: the limit may have been lowered, or the clock set back.
  local owed_ms = math.min(math.max(tonumber(redis.call('GET', name) or 0) - now, 0), most_ms)
  return { name = name, now = now, one_ms = one_ms, most_ms = most_ms, owed_ms = owed_ms }
end

-- How many more it lets in, and when it lets in one more than that. A hundredth of one is let off: fractions add up.
local function left_of(rate)
  if rate.unlimited then return -1, 0 end
  local left = math.floor((rate.most_ms - rate.owed_ms) / rate.one_ms + 0.01)
  return left, math.ceil(math.max(0, rate.owed_ms + rate.one_ms * (left + 1) - rate.most_ms))
end

-- Counts one. A Redis that is full or read-only cannot; looking at tasks goes on all the same.
local function spend(rate)
  if rate.unlimited then return end
  rate.owed_ms = rate.owed_ms + rate.one_ms
  redis.pcall('SET', rate.name, string.format('%.3f', rate.now + rate.owed_ms), 'PX', math.ceil(rate.owed_ms) + 1)
end

-- When a project that has all it may have can expect one to end: a guess, by the queue's recent run times.
local function room_in_ms(queue, in_progress)
  local mean_ms = tonumber(redis.call('HGET', key.service(queue), 'mean_ms') or ROOM_LEAST_MS)
  return math.ceil(math.min(math.max(mean_ms / math.max(in_progress, 1), ROOM_LEAST_MS), ROOM_MOST_MS))
end

-- Removes a record and every trace of it.
local function forget(id)
  local task = read(id, 'project', 'type', 'state')
  if task.project then
    remove_from_index(id, task.project, task.type, task.state)
    remove_from_index(id, task.project, task.type, '*')
    if leave_quarantine(id, task.project) == 1 then count('dropped_quarantined') end
  end
  redis.call('DEL', key.task(id), key.events(id))
  leave_outbox(id)
  redis.call('ZREM', key.expiry(), id)
end

-- Removes the records whose retention is over, a batch at a time. Says how many.
local function expire(now)
  local ids = redis.call('ZRANGEBYSCORE', key.expiry(), '-inf', now, 'LIMIT', 0, CHORE_LIMIT)
  for _, id in ipairs(ids) do
    guarded(id, key.expiry(), now, function() forget(id) end)
  end
  return #ids
end
