-- A rate: a line before which no slot is, and a log of which no n + 1 units lie within `apart`. What take.lua and late.lua
-- have in common; gateway/limits/schedule.py is its pure model. t has n, period, apart, segments (true where it counts
-- them), base, k and log, as take.lua tells.

local function int(x) return string.format('%.0f', x) end

local function due(t) return t.base + math.ceil(t.k * t.period / t.n) end

local function units(t, segments) return t.segments and segments or 1 end

local function after(t, unit) return math.ceil(unit * t.apart / t.n) end

-- What of a log is later than `over`.
local function unpacked(text, over)
  local log, at = {}, 0
  for step in string.gmatch(text or '', '%d+') do
    at = at + tonumber(step)
    if at > over then log[#log + 1] = at end
  end
  return log
end

local function packed(log)
  local steps, at = {}, 0
  for i, each in ipairs(log) do steps[i], at = int(each - at), each end
  return table.concat(steps, ',')
end

-- The log is read only where a unit too many may be in it; until then a call adds a field of its own, `+` and its number.
local function read_log(t, over)
  t.log, t.parts = {}, {}
  local all = redis.call('HGETALL', t.key)
  for i = 1, #all, 2 do
    local part = string.sub(all[i], 1, 1) == '+'
    if part then t.parts[#t.parts + 1] = all[i] end
    if part or all[i] == 'log' then
      for _, each in ipairs(unpacked(all[i + 1], over)) do t.log[#t.log + 1] = each end
    end
  end
  for _, each in ipairs(t.fresh or {}) do t.log[#t.log + 1] = each end
  table.sort(t.log)
end

local function write_log(t, number)
  if t.log then
    if t.parts[1] then redis.call('HDEL', t.key, unpack(t.parts, 1, math.min(#t.parts, 4000))) end
    for i = 4001, #t.parts do redis.call('HDEL', t.key, t.parts[i]) end
    redis.call('HSET', t.key, 'log', packed(t.log), 'count', int(#t.log))
  else
    table.sort(t.fresh)
    redis.call('HSET', t.key, '+' .. int(number), packed(t.fresh), 'count', int(t.count + #t.fresh))
  end
end

-- How many of the log are not later than `instant`. From the end: few are.
local function not_later(log, instant)
  local i = #log
  while i > 0 and log[i] > instant do i = i - 1 end
  return i
end

-- Puts the units of a message into the log; returns their places, and which of them are its own.
local function enter(t, slot, count)
  local places, own = {}, {}
  for unit = 0, count - 1 do
    local instant = slot + after(t, unit)
    local place = not_later(t.log, instant) + 1
    table.insert(t.log, place, instant)
    places[unit + 1], own[place] = place, unit
  end
  return places, own
end

local function leave(t, places) for i = #places, 1, -1 do table.remove(t.log, places[i]) end end

-- The slot itself where so many units have room; else a later one that may be the first that has.
local function crowded(t, slot, count)
  local log, n = t.log, t.n
  local places, own = enter(t, slot, count)
  local better = slot
  for last = math.max(places[1], n + 1), math.min(#log, places[count] + n) do
    local first = last - n
    if log[last] - log[first] < t.apart then
      if own[last] and not own[first] then
        better = log[first] + t.apart - after(t, own[last])
      else
        local mine, other = first, last
        while not own[mine] do mine = mine + 1 end
        while own[other] do other = other - 1 end
        better = math.max(slot + 1, log[other] - after(t, own[mine]))
      end
      break
    end
  end
  leave(t, places)
  return better
end

-- The first instant from `from` on at which a message may leave.
local function fits(t, from, segments)
  local slot, count = math.max(from, due(t)), units(t, segments)
  if not t.log then
    if t.count + #t.fresh + count <= t.n then return slot end
    read_log(t, t.over)
  end
  if #t.log + count <= t.n then return slot end
  local later = crowded(t, slot, count)
  while later > slot do slot, later = later, crowded(t, later, count) end
  return slot
end

local function spend(t, slot, segments)
  local count = units(t, segments)
  if t.log then
    enter(t, slot, count)
  else
    for unit = 0, count - 1 do t.fresh[#t.fresh + 1] = slot + after(t, unit) end
  end
  t.k = t.k + count
  t.base, t.k = t.base + math.floor(t.k / t.n) * t.period, t.k % t.n
end
