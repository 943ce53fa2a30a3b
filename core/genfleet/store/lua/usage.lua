-- usage: what a project used, day by day. Without an end it is up to today, without a beginning the 30 days before that.
-- The first and the last day that was looked at, which are days that are kept, then each day with what is known of it; days
-- without use are left out.
local project, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local today = day_of(clock())
local oldest = today - USAGE_KEPT_DAYS
last = math.max(math.min(last or today, today), oldest)
first = math.max(first or last - 29, oldest)
local days = {}
for day = first, last do
  local used = redis.call('HGETALL', key.usage(project, day))
  if #used > 0 then days[#days + 1] = { day, used } end
end
return { first, last, days }
