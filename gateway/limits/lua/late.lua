-- Tell throughputs that writes happened later than their slots, so that slots taken from now on keep their distance.
-- rate.lua stands before it.
--
-- KEYS  one throughput per entry
-- ARGV  per entry: slot_us, at_us (both on this server's clock), units, n, apart_us (as in take.lua); slot_us 0: all that
--       was granted may have left at_us later than it should
-- Returns the number of entries that changed something.
-- The log is put right; the line moves only with all. A rate whose numbers changed keeps its distance by itself.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function correct(t, slot, at, count)
  for unit = 0, count - 1 do
    local instant = slot + after(t, unit)
    local place = not_later(t.log, instant)
    if t.log[place] == instant then table.remove(t.log, place) end
  end
  enter(t, at, count)
end

local rates = {}
local function rate(name)
  if not rates[name] then
    local was = redis.call('HMGET', name, 'n', 'period', 'base')
    rates[name] = {key = name, n = tonumber(was[1] or 0), period = tonumber(was[2] or 0), base = tonumber(was[3] or 0)}
    read_log(rates[name], 0)
  end
  return rates[name]
end

local told = 0
for i = 1, #KEYS do
  local slot, at, count, n, apart = unpack(ARGV, 5 * i - 4, 5 * i)
  local t = rate(KEYS[i])
  t.apart, slot, at = tonumber(apart), tonumber(slot), tonumber(at)
  if t.n == tonumber(n) then
    told, t.told = told + 1, true
    if slot > 0 then
      correct(t, slot, at, tonumber(count))
    else
      t.base = t.base + at
      for j = 1, #t.log do t.log[j] = t.log[j] + at end
    end
  end
end

for name, t in pairs(rates) do
  if t.told then
    redis.call('HSET', name, 'base', int(t.base))
    write_log(t)
    redis.call('PEXPIRE', name, int(math.ceil((math.max(t.base - now, 0) + 2 * t.period) / 1000) + 60000))
  end
end
return told
