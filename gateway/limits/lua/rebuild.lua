-- Begin a new epoch, once the usage rows were taken by refill.lua; the live calls become holders of channels again.
--
-- KEYS  [1] the marker; then one lease per live call.
-- ARGV  epoch (higher than any before), client_us (the caller's wall clock), server (its run and replication id),
--       last_slot_us (the latest slot an earlier grant may have had; -1: not known), longest (the most segments of an
--       earlier message), seq (highest grant number in the database), unheld (1: other calls may be up than those that
--       follow); then per live call: holder, lease_us
-- Returns the epoch in force. When it is not the one passed, another process was first and nothing changed. 0: the clocks
-- disagree, and nothing changed; what began on a wrong clock would wait for it after it was set right.

local AHEAD = 1000000 -- no grant reaches further
local SKEW = 2000000  -- as in take.lua
local function int(x) return string.format('%.0f', x) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local was = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'now')
local epoch, last_slot, seq = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[6])
if was[1] and tonumber(was[1]) >= epoch then return tonumber(was[1]) end
if now < tonumber(was[3] or 0) or math.abs(now - tonumber(ARGV[2])) > SKEW then return 0 end

for i = 2, #KEYS do -- who is dead after all does not renew
  local holder, lease = ARGV[2 * i + 4], tonumber(ARGV[2 * i + 5])
  redis.call('ZADD', KEYS[i], int(now + lease), holder)
  redis.call('PEXPIRE', KEYS[i], int(math.ceil(lease / 1000) + 60000))
end
if last_slot < 0 then last_slot = now + AHEAD end
redis.call('HSET', KEYS[1], 'epoch', int(epoch), 'server', ARGV[3], 'now', int(now), 'quiet', int(last_slot),
  'longest', ARGV[5], 'unheld', ARGV[7] == '1' and int(now) or '0', 'seq', int(math.max(seq, tonumber(was[2] or 0))))
return epoch
