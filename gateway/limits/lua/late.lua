-- Tell a throughput that a write happened later than its slot, so that slots taken from now on keep their distance.
--
-- KEYS  [1] the throughput
-- ARGV  slot_us, at_us (both on this server's clock), period_us with the guard, period_us without
-- Returns 1 when following slots moved, else 0.
-- The units between the two slots lie (next - slot) apart with the guard; after a late write they need only the exact
-- spacing, so what the guard leaves over makes up for the lateness.

local function int(x) return string.format('%.0f', x) end

local was = redis.call('HMGET', KEYS[1], 'n', 'period', 'base', 'k')
if not was[1] then return 0 end
local slot, at, guarded, exact = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local due = tonumber(was[3]) + math.ceil(tonumber(was[4]) * tonumber(was[2]) / tonumber(was[1]))
local pushed = at + math.floor((due - slot) * exact / guarded)
if pushed <= due then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('HSET', KEYS[1], 'base', int(pushed), 'k', 0)
redis.call('PEXPIRE', KEYS[1], int(math.ceil((math.max(pushed - now, 0) + 2 * tonumber(was[2])) / 1000) + 60000))
return 1
