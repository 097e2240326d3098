-- Give units back to windows of caps: the carrier is known not to have counted them.
--
-- KEYS  [1] the marker; then one counter per entry.
-- ARGV  epoch of the grant; then per entry: its field (start of a window, or a member), units
-- Returns the number of entries given back. 0 when the counters were rebuilt since: they were rebuilt from rows that
-- never held these units, or that give them back themselves. A window that is gone stays gone.

if tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0) ~= tonumber(ARGV[1]) then return 0 end
local given = 0
for i = 2, #KEYS do
  local field, units = ARGV[2 * i - 2], tonumber(ARGV[2 * i - 1])
  local used = tonumber(redis.call('HGET', KEYS[i], field) or -1)
  if used >= 0 then
    redis.call('HSET', KEYS[i], field, string.format('%.0f', math.max(0, used - units)))
    given = given + 1
  end
end
return given
