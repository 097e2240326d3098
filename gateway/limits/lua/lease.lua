-- Renew or release one holder's lease. channels.lua stands before it.
--
-- KEYS  [1] the lease's zset: holder -> expiry, us; [2] the marker
-- ARGV  holder, lease_us (0 releases), limit
-- Returns 1 when the holder holds it now (or did, for a release), 0 when it had run out and no place is free.

local holder, lease, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if lease == 0 then return redis.call('ZREM', KEYS[1], holder) end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
freed(KEYS[2], KEYS[1], lease, now)
if not redis.call('ZSCORE', KEYS[1], holder) and redis.call('ZCARD', KEYS[1]) >= limit then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), holder)
redis.call('PEXPIRE', KEYS[1], lasts_ms(lease))
return 1
