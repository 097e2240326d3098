-- Begin a new epoch: take the database's usage rows as the least that was used.
--
-- KEYS  [1] the marker; then one cap per row.
-- ARGV  epoch (higher than any before), server (its run and replication id), last_slot_us (the latest slot an earlier
--       grant may have had; -1: not known), seq (highest grant number in the database); then per row: window start (us),
--       used
-- Returns the epoch in force. When it is not the one passed, another process was first and nothing changed.
-- A counter that is higher here stays: grants on their way to the database are in it.

local RETAIN = 40 * 86400000000
local AHEAD = 1000000 -- no grant reaches further
local function int(x) return string.format('%.0f', x) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local was = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local epoch, last_slot, seq = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
if was[1] and tonumber(was[1]) >= epoch then return tonumber(was[1]) end

for i = 2, #KEYS do
  local start, used = ARGV[2 * i + 1], tonumber(ARGV[2 * i + 2])
  redis.call('HSET', KEYS[i], start, int(math.max(used, tonumber(redis.call('HGET', KEYS[i], start) or 0))))
  redis.call('PEXPIRE', KEYS[i], int(RETAIN / 1000))
  redis.call('HSET', KEYS[1], 'c:' .. KEYS[i], int(now + RETAIN))
end
if last_slot < 0 then last_slot = now + AHEAD end
redis.call('HSET', KEYS[1], 'epoch', int(epoch), 'server', ARGV[2], 'now', int(now), 'quiet', int(last_slot),
  'seq', int(math.max(seq, tonumber(was[2] or 0))))
return epoch
