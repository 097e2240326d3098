-- Channels that are leased to calls: what take.lua and lease.lua have in common; gateway/limits/gcra.py is its pure model.
--
-- Holders renew six times a lease. A server that stood still, or that nobody reached, finds leases run out whose holders
-- live; so does one whose clock was set. Then nobody is granted a channel until all could renew: a third of a lease.
-- State  marker: h:<key> when channels of that key were last asked for or renewed; w:<key> until when none is granted

-- Free what ran out. Returns until when none may be granted, us.
local function freed(marker, name, lease, now)
  local at = string.format('%.0f', now)
  local kept = redis.call('HMGET', marker, 'h:' .. name, 'w:' .. name)
  local heard, waits, silence = tonumber(kept[1] or now), tonumber(kept[2] or 0), math.floor(lease / 3)
  local ran_out = now - heard > silence and redis.call('ZCOUNT', name, string.format('%.0f', heard), at) > 0
  if ran_out or heard - now > silence then
    waits = now + silence
    redis.call('HSET', marker, 'w:' .. name, string.format('%.0f', waits))
  end
  redis.call('HSET', marker, 'h:' .. name, at)
  redis.call('ZREMRANGEBYSCORE', name, '-inf', at)
  return waits
end

-- A key outlives its leases by an hour: so long may a server stand still, and know that there were some.
local function lasts_ms(lease) return string.format('%.0f', math.ceil(lease / 1000) + 3600000) end
