-- recover: messages that were lost between a list and a worker (kombu pops first and notes it down afterwards).
-- Lists are first in, first out: a task that waits although its list hands out a later one next, or nothing at all,
-- has lost its message. It gets another. A wrong guess does no harm: only one of two messages can claim.
let_through()
local grace_ms = tonumber(ARGV[1])
local now, recovered = clock(), 0

-- The turn of what this list hands out next: nil if it is empty, false if that cannot be told.
local function next_turn(queue, priority)
  local list = broker_list(queue, priority)
  if redis.call('LLEN', list) == 0 then return nil end
  local last = redis.call('LRANGE', list, -10, -1)
  for i = #last, 1, -1 do
    local readable, content = pcall(cjson.decode, last[i])
    local id = readable and type(content) == 'table' and type(content.headers) == 'table' and content.headers.id
    local score = type(id) == 'string' and redis.call('ZSCORE', key.waiting(queue), id)
    if score then return tonumber(score) end
  end
  return false
end

-- Out of order is not lost: the very message may still be in the list.
local function is_listed(task)
  local place = redis.call('LPOS', message_list(task), celery_message(task, task.deliveries), 'RANK', -1, 'MAXLEN', LIST_SEARCHED)
  return type(place) == 'number'
end

-- Since when its message is known to be missing; false: it is not, or that was an earlier message.
local function missing_since(known)
  return known.missed and tonumber(known.missed) >= tonumber(known.pushed) and known.missed
end

-- Whether to look at it now: not if it was found in its list a short while ago, nor if its message is missing for a short
-- while only. It may be on its way from the list to a claim, and where the link is slow that takes seconds.
local function is_due(id)
  local known = read(id, 'pushed', 'missed', 'listed')
  if known.listed and now - known.listed <= grace_ms then return false end
  local since = missing_since(known)
  return not since or now - since >= grace_ms
end

local function recover(id, score, priority, waiting)
  local task = read_known(id)
  if task.state ~= 'queued' then
    redis.call('ZREM', waiting, id)
    return 0
  end
  if is_listed(task) then
    redis.call('HSET', key.task(id), 'listed', now) -- looked for again after another grace, not every second
    return 0
  end
  if grace_ms > 0 and not missing_since(read(id, 'pushed', 'missed')) then
    redis.call('HSET', key.task(id), 'missed', now)
    return 0
  end
  push(task, now, score - turn(priority, 0), true)
  return 1
end

-- How many are looked at now: for each, the whole list may have to be searched.
local function room(queue, priority)
  local searched = math.min(redis.call('LLEN', broker_list(queue, priority)), LIST_SEARCHED)
  return math.min(CHORE_LIMIT, math.floor(LOST_SEARCHED / math.max(searched, 1)))
end

-- The first of those that should have been handed out, and are due: id and score in turn.
local function due_ones(waiting, from, upto, most)
  local due = {}
  for offset = 0, MISSED_MOST - CHORE_LIMIT, CHORE_LIMIT do
    local rows = redis.call('ZRANGEBYSCORE', waiting, from, upto, 'WITHSCORES', 'LIMIT', offset, CHORE_LIMIT)
    for row = 1, #rows, 2 do
      local readable, wanted = pcall(is_due, rows[row])
      if wanted or not readable then
        due[#due + 1], due[#due + 2] = rows[row], rows[row + 1]
        if #due >= 2 * most then return due end
      end
    end
    if #rows < 2 * CHORE_LIMIT then break end
  end
  return due
end

local function recover_queue(queue)
  local waiting = key.waiting(queue)
  for priority = 1, 3 do
    local bound = next_turn(queue, priority)
    if bound ~= false then
      local upto = '(' .. string.format('%.17g', bound or turn(priority + 1, 0))
      local rows = due_ones(waiting, turn(priority, 0), upto, room(queue, priority))
      for row = #rows - 1, 1, -2 do -- from the last to the first: each one becomes next in line
        local id, score = rows[row], tonumber(rows[row + 1])
        recovered = recovered + guarded(id, waiting, now, function() return recover(id, score, priority, waiting) end)
      end
    end
  end
end

for i = 2, #ARGV do
  if not is_paused(ARGV[i]) then recover_queue(ARGV[i]) end -- in a pause messages are dropped on purpose
end
if recovered > 0 then count('recovered_messages', recovered) end
return recovered
