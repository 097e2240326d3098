-- A rate: a line before which no slot is, and a log of which no n + 1 units lie within `apart`. What take.lua and told.lua
-- have in common; gateway/limits/schedule.py is its pure model. t has n, period, apart, segments (true where it counts
-- them), base, k and log, as take.lua tells.
--
-- A unit that was granted leaves at its slot or later, however late: until its worker has told that it left, it is open.
-- An open unit whose slot lies ahead counts at its slot; one whose slot has passed is in doubt, and counts in every stretch.

local MADE_UP = 4     -- times the line, what a stall cost comes
local DOUBT = 5000000 -- no write is begun 2 s after its slot; what was begun by then has left so long after it

local function int(x) return string.format('%.0f', x) end

local function line(t) return t.base + math.ceil(t.k * t.period / t.n) end

-- No slot is before it: what is made up comes so many times as fast as the line, not all at once.
local function due(t) return math.max(line(t), t.dense) end

local function units(t, segments) return t.segments and segments or 1 end

local function after(t, unit) return math.ceil(unit * t.apart / t.n) end

-- A log as it is kept: its first instant and the steps between, as MessagePack: as text, a take of a full rate cost a third more.
local function unpacked(text)
  if not text or text == '' then return {} end
  local log = {}
  if string.find(text, '^%d') then -- as text, which was written before 0.1.0
    for step in string.gmatch(text, '%d+') do log[#log + 1] = tonumber(step) end
  else
    log = cmsgpack.unpack(text)
  end
  for i = 2, #log do log[i] = log[i - 1] + log[i] end
  return log
end

local function packed(log)
  local steps = {log[1]}
  for i = 2, #log do steps[i] = log[i] - log[i - 1] end
  return cmsgpack.pack(steps)
end

-- Puts `more` into a sorted log, from the end: most of it is later than most of that.
local function merge(log, more)
  table.sort(more)
  local i, j = #log, #more
  for place = i + j, 1, -1 do
    if j == 0 then return end
    if i > 0 and log[i] > more[j] then
      log[place], i = log[i], i - 1
    else
      log[place], j = more[j], j - 1
    end
  end
end

local function taken_by(worker, number) return '+' .. worker .. '.' .. int(number) end

-- Sorts the units of one take into those that left, those in doubt and those ahead; returns how many are open.
local function count_take(t, log, is_told, left, now)
  local open = 0
  for _, each in ipairs(log) do
    if is_told then
      if each > now - t.apart then left[#left + 1] = each end
    elseif each > now - DOUBT then
      open = open + 1
      local list = each >= now and t.ahead or t.doubt
      list[#list + 1] = each
    end
  end
  return open
end

-- What is told already, without what is over.
local function read_told(t, text, now)
  local all, first = unpacked(text), 1
  while all[first] and all[first] <= now - t.apart do first = first + 1 end
  t.told = {}
  for i = first, #all do t.told[i - first + 1] = all[i] end
end

-- The log is read only where a unit too many may be in it; until then a take adds a field of its own. What is told is put
-- together in one field, what is open stays where it is; t.over are the fields that nobody needs any more.
local function read_log(t, worker, now)
  t.told, t.ahead, t.open, t.doubt, t.over, t.found = {}, {}, 0, {}, {}, {}
  local all, done, takes, has_open, left = redis.call('HGETALL', t.key), {}, {}, {}, {}
  for i = 1, #all, 2 do
    local mark = string.sub(all[i], 1, 1)
    if mark == '+' then takes[#takes + 1] = i
    elseif mark == '=' then done[string.sub(all[i], 2)] = tonumber(all[i + 1])
    elseif all[i] == 'log' then read_told(t, all[i + 1], now) end
  end
  done[worker] = t.done
  for _, i in ipairs(takes) do
    local whose, number = string.match(all[i], '^%+(%w*)%.?(%d+)$')
    local open = count_take(t, unpacked(all[i + 1]), tonumber(number) <= (done[whose] or 0), left, now)
    t.open = t.open + open
    has_open[whose] = has_open[whose] or open > 0
    if open == 0 then t.over[#t.over + 1] = all[i] end
  end
  for whose in pairs(done) do
    if whose ~= worker and not has_open[whose] then t.over[#t.over + 1] = '=' .. whose end
  end
  merge(t.told, left)
  for _, each in ipairs(t.fresh) do t.ahead[#t.ahead + 1] = each end
  t.log = {}
  for i = 1, #t.told do t.log[i] = t.told[i] end
  merge(t.log, t.ahead)
end

-- A take: its units, and up to which of its worker's takes all is told.
local function write_log(t, worker, number)
  local count = t.count
  if t.log then
    for i = 1, #t.over, 4000 do redis.call('HDEL', t.key, unpack(t.over, i, math.min(#t.over, i + 3999))) end
    redis.call('HSET', t.key, 'log', packed(t.told))
    count = #t.told + t.open
  end
  local new = {'count', int(count + #t.fresh), '=' .. worker, int(t.done)}
  if t.fresh[1] then
    table.sort(t.fresh)
    new[5], new[6] = taken_by(worker, number), packed(t.fresh)
  end
  redis.call('HSET', t.key, unpack(new))
end

-- How many of the log are not later than `instant`. From the end: few are.
local function not_later(log, instant)
  local i = #log
  while i > 0 and log[i] > instant do i = i - 1 end
  return i
end

-- Puts the units of a message into a log; returns their places, and which of them are its own.
local function enter(t, log, slot, count)
  local places, own = {}, {}
  for unit = 0, count - 1 do
    local instant = slot + after(t, unit)
    local place = not_later(log, instant) + 1
    table.insert(log, place, instant)
    places[unit + 1], own[place] = place, unit
  end
  return places, own
end

local function leave(log, places) for i = #places, 1, -1 do table.remove(log, places[i]) end end

-- The slot itself where so many units have room among `n` a period; else a later one that may be the first that has.
local function crowded(t, log, n, slot, count)
  local places, own = enter(t, log, slot, count)
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
  leave(log, places)
  return better
end

-- The first slot from `slot` on that has room.
local function climb(t, log, n, slot, count)
  local later = crowded(t, log, n, slot, count)
  while later > slot do slot, later = later, crowded(t, log, n, later, count) end
  return slot
end

-- When it is worth asking again, beyond the horizon: where there will be room if all that is in doubt has left in its slot.
local function hoped_for(t, slot, count, horizon)
  local log = {}
  for i = 1, #t.log do log[i] = t.log[i] end
  merge(log, t.doubt)
  return math.max(climb(t, log, t.n, slot, count), horizon + 1)
end

-- The first instant from `from` on at which a message may leave; where that is not known, one beyond the horizon. It is
-- when to ask again where `hopes`: who was granted something in this take asks again anyway.
local function fits(t, from, segments, worker, now, horizon, hopes)
  local slot, count = math.max(from, due(t)), units(t, segments)
  if not t.log then
    if t.count + #t.fresh + count <= t.n then return slot end
    read_log(t, worker, now)
  end
  if #t.log + #t.doubt + count <= t.n then return slot end
  local most, found = math.min(count, t.n), horizon + 1 -- of its own units in one period
  if #t.doubt + most <= t.n then
    local is_first = slot == due(t) -- no earlier than what was found for the message before, if that had as many units
    found = climb(t, t.log, t.n - #t.doubt, is_first and math.max(slot, t.found[count] or 0) or slot, count)
    if is_first then t.found[count] = found end
    local all_may_leave_at_once = t.open + #t.fresh + most > t.n
    if found <= horizon and not all_may_leave_at_once then return found end
  end
  return hopes and hoped_for(t, slot, count, horizon) or math.max(found, horizon + 1)
end

local function spend(t, slot, segments)
  local count = units(t, segments)
  for unit = 0, count - 1 do t.fresh[#t.fresh + 1] = slot + after(t, unit) end
  if t.log then enter(t, t.log, slot, count) end
  t.dense = t.dense + math.ceil(count * t.period / (MADE_UP * t.n))
  t.k = t.k + count
  t.base, t.k = t.base + math.floor(t.k / t.n) * t.period, t.k % t.n
end
