-- Tell rates what has become of a worker's takes: when what was late left, and up to which of them all is done, so that
-- slots taken from now on keep their distance. rate.lua stands before it.
--
-- KEYS  the rates
-- ARGV  worker; per rate: n, apart_us (as in take.lua), done (all takes up to this number have left, or never will), and
--       the late writes, each ended by a semicolon: number of its take, slot_us, at_us (this server's clock), units
-- Returns the number of late writes that were noted. A rate that is not there any more is left alone.

local at = 1
local function arg() at = at + 1 return tonumber(ARGV[at]) end

local function moved(t, log, slot, later, count)
  for unit = 0, count - 1 do
    local place = not_later(log, slot + after(t, unit))
    if log[place] == slot + after(t, unit) then table.remove(log, place) end
    place = not_later(log, later + after(t, unit)) + 1
    table.insert(log, place, later + after(t, unit))
  end
end

local noted = 0
for i = 1, #KEYS do
  local t, done = {key = KEYS[i], n = arg(), apart = arg()}, arg()
  local there, takes, more = redis.call('EXISTS', t.key) == 1, {}, 0
  at = at + 1
  for number, slot, later, count in string.gmatch(ARGV[at], '(%d+),(%d+),(%d+),(%d+);') do
    local name = taken_by(ARGV[1], tonumber(number))
    if there then
      noted = noted + 1
      takes[name] = takes[name] or unpacked(redis.call('HGET', t.key, name))
      more = more - #takes[name]
      moved(t, takes[name], tonumber(slot), tonumber(later), tonumber(count))
      more = more + #takes[name]
    end
  end
  if there then
    for name, log in pairs(takes) do redis.call('HSET', t.key, name, packed(log)) end
    redis.call('HINCRBY', t.key, 'count', more)
    local known = tonumber(redis.call('HGET', t.key, '=' .. ARGV[1]) or 0)
    redis.call('HSET', t.key, '=' .. ARGV[1], int(math.max(done, known)))
  end
end
return noted
