-- usage: what a project used, day by day. Without an end it is up to today, without a beginning the 30 days before that.
-- The first and the last day, then each day with what is known of it; days without use are left out.
local project, first, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
last = last or day_of(clock())
first = math.max(first or last - 29, last - USAGE_KEPT_DAYS)
local days = {}
for day = first, last do
  local used = redis.call('HGETALL', key.usage(project, day))
  if #used > 0 then days[#days + 1] = { day, used } end
end
return { first, last, days }
