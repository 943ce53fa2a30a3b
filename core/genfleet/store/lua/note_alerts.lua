-- note_alerts: what holds now, by name and severity, beside what held at the last look. What has changed: `raised` (also
-- with another severity) or `cleared`, the name and the severity; each change is told once, to whoever asks first.
let_through()
local now, held, changed = {}, {}, {}
for i = 1, #ARGV, 2 do now[ARGV[i]] = ARGV[i + 1] end
local flat = redis.call('HGETALL', key.alerts())
for i = 1, #flat, 2 do
  held[flat[i]] = flat[i + 1]
  if not now[flat[i]] then
    redis.call('HDEL', key.alerts(), flat[i])
    changed[#changed + 1] = { 'cleared', flat[i], flat[i + 1] }
  end
end
for i = 1, #ARGV, 2 do
  local name, severity = ARGV[i], ARGV[i + 1]
  if held[name] ~= severity then
    redis.call('HSET', key.alerts(), name, severity)
    changed[#changed + 1] = { 'raised', name, severity }
  end
end
return changed
