-- probe: which of these commands, and of these keys, the caller's user may not use. So many commands, then the keys.
-- Each command is tried on a key of its own, with as many arguments as it takes: it fails for want of sense, or of rights.
local name, denied = key.probe(), {}

local function is_denied(reply)
  local err = type(reply) == 'table' and reply.err or ''
  return (err:find('NOPERM', 1, true) or err:find("can't run this", 1, true) or err:find("can't access", 1, true)
    or err:find("can't publish", 1, true) or err:find('ACL failure', 1, true)) ~= nil
end

local function try(command)
  local reply, arguments = nil, {}
  for _ = 0, 6 do
    reply = redis.pcall(command, unpack(arguments))
    if not (type(reply) == 'table' and (reply.err or ''):find('rong number of arg')) then return is_denied(reply) end
    arguments[#arguments + 1] = name
  end
  return false
end

local commands = tonumber(ARGV[1])
for i = 2, 1 + commands do
  if try(ARGV[i]) then denied[#denied + 1] = ARGV[i] end
end
for i = 2 + commands, #ARGV do
  if is_denied(redis.pcall('EXISTS', ARGV[i])) then denied[#denied + 1] = ARGV[i] end
end
redis.pcall('DEL', name)
return denied
