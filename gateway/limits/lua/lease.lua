-- Renew or release one holder's lease.
--
-- KEYS  [1] the lease's zset: holder -> expiry, us
-- ARGV  holder, lease_us (0 releases), limit
-- Returns 1 when the holder holds it now (or did, for a release), 0 when it had run out and no place is free.

local function int(x) return string.format('%.0f', x) end

local holder, lease, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if lease == 0 then return redis.call('ZREM', KEYS[1], holder) end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now))
if not redis.call('ZSCORE', KEYS[1], holder) and redis.call('ZCARD', KEYS[1]) >= limit then return 0 end
redis.call('ZADD', KEYS[1], int(now + lease), holder)
redis.call('PEXPIRE', KEYS[1], int(math.ceil(lease / 1000) + 60000))
return 1
