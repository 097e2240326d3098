-- Take all limits of each message or none, for as many messages as fit, in order, on this server's clock.
-- gateway/limits/gcra.py is the pure model of this script: change both, or the tests fail. rate.lua, quotas.lua and
-- channels.lua stand before it.
--
-- A message is bound by the limits that all share (the first so many of each kind) and by its own: its recipient's, its
-- network's. One that a shared limit holds ends the grant; one that its own hold is passed over.
--
-- KEYS  [1] the marker; then, in the order of ARGV, one per throughput, one per cap, per rolling limit its index and its
--       parts, one per concurrency limit. One hash tag.
-- ARGV  client_us   the caller's wall clock           epoch    the counters' epoch the caller knows
--       seen        highest grant number it knows     ahead_us how far beyond now a slot may lie
--       worker      who asks: letters and digits      number   of this take, among the worker's
--       more        1: who asks has more than it asks for, and will be back as soon as it can
--       throughputs caps rollings leases messages     how many of each follow
--       shared throughputs, caps, rollings            how many of each, from the first on, bind every message
--       per throughput  n, period_us (guard included), apart_us (how far unit k keeps from unit k - n at least), 1 if it
--                       counts segments, done (all the worker's takes up to this number have left, or never will)
--       per cap         limit, 1 if it counts segments, previous, start, end, after: bounds of three windows, us
--       per rolling     limit, 1 if it counts segments, length_us, part_us, number of its first part in KEYS, how many
--       per shared one  its member
--       per lease       limit, lease_us
--       one word        per message segments, how many own limits, then each: its place among throughputs, caps,
--                       rollings, and for a rolling one the member; each ended by a US (0x1f), for many words cost more
--       per message     its holder's name (only when there are leases)
-- Returns  {status, now_us, seq, slots, windows, refused, full}
--       status  ok | rebuild | clock_skew | bounds
--       slots   one a message that was looked at: its instant, us; or {place, opens_at_us} when passed over
--       windows where there are caps, one text a message: per cap a digit with a bit for each window it was charged to;
--               "" when passed over
--       refused {} or {place of the limit, opens_at_us or 0 for never}: the next message's
--       full    the windows at four fifths or more after this grant: 3 * (place among the caps - 1) + 1, 2 or 3
-- State  marker: hash epoch, seq, now, quiet, longest, server, c:<key> = until when that key must exist; unheld: when
--        channels were forgotten that others may hold, who renew them within a lease (0: none); h:, w: see channels.lua
--        throughput: hash n, period, base, k: no slot before the line's next, base + ceil(k * period / n), 0 <= k < n, and none before `dense`;
--        waits: when somebody last waited for more; log, as MessagePack: when the last units left, the first and then the steps
--        between; +worker.number: of a take, when its units leave; =worker: up to which take it is told that all have;
--        count: how many units these have
--        cap: hash window start -> units debited.  lease: zset holder -> expiry.  Instants are us.
--        rolling: a hash a part, member -> units debited; an index, hash start of part -> until when that must exist

local SKEW = 2000000     -- clocks that differ by more are not trusted
local CATCH_UP = 1000000 -- of its line a rate that is waited for makes up so much

local at, key_at = 0, 1
local function arg() at = at + 1 return tonumber(ARGV[at]) end
local function word() at = at + 1 return ARGV[at] end
local function key() key_at = key_at + 1 return KEYS[key_at] end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local client, epoch, seen, ahead, worker, number, more = arg(), arg(), arg(), arg(), word(), arg(), arg() == 1
local throughputs, caps, rollings, leases, messages = arg(), arg(), arg(), arg(), arg()
local shared_throughputs, shared_caps, shared_rollings = arg(), arg(), arg()

local marker = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'now', 'quiet', 'longest', 'unheld')
local seq, last, quiet = tonumber(marker[2] or 0), tonumber(marker[3] or 0), tonumber(marker[4] or 0)
local longest, unheld = tonumber(marker[5] or 1), tonumber(marker[6] or 0)
local function no(status) return {status, now, seq, {}, {}, {}, {}} end
if now < last or math.abs(now - client) > SKEW then return no('clock_skew') end -- first: a rebuild wants clocks that agree
if tonumber(marker[1] or 0) ~= epoch or seq < seen then return no('rebuild') end

-- --- rates: see rate.lua

-- A rate whose numbers changed starts anew, one new interval after its last slot. One that was forgotten begins a period
-- after the latest slot before, and after what the longest message then still had to leave.
local function throughput(name)
  local t = {key = name, n = arg(), period = arg(), apart = arg(), segments = arg() == 1, done = arg(),
    base = 0, k = 0, waits = 0, count = 0, dense = 0, fresh = {}}
  local was = redis.call('HMGET', name, 'n', 'period', 'base', 'k', 'waits', 'count', '=' .. worker, 'dense')
  local free = quiet + t.period
  if t.segments and longest > t.n then free = free + math.ceil((longest - t.n) * t.period / t.n) end
  if was[1] then
    local n, period = tonumber(was[1]), tonumber(was[2])
    t.base, t.k = tonumber(was[3]), tonumber(was[4])
    if n ~= t.n or period ~= t.period then
      local slower = math.ceil(t.period / t.n) - math.floor(period / n)
      t.base, t.k = t.base + math.ceil(t.k * period / n) + math.max(0, slower), 0
    else
      t.waits, t.dense = tonumber(was[5] or 0), tonumber(was[8] or 0)
    end
    t.count, t.done = tonumber(was[6] or 0), math.max(t.done, tonumber(was[7] or 0))
  end
  -- Time that nobody used is gone: spacing, not a bucket. What was lost while somebody waited is made up.
  local waited = now - t.waits <= 2 * CATCH_UP
  free = math.max(free, waited and now - CATCH_UP or now)
  if line(t) < free then t.base, t.k = free, 0 end
  t.dense = math.max(t.dense, now)
  return t
end

-- --- caps and rolling limits: see quotas.lua

local function cap(name)
  local c = {key = name, limit = arg(), segments = arg() == 1, edges = {arg(), arg(), arg(), arg()}}
  return read_cap(c, now) and c
end

local function rolling()
  local r = {limit = arg(), segments = arg() == 1, length = arg(), part = arg(), first = arg(), count = arg()}
  r.index, r.parts = key(), {}
  for j = 1, r.count do r.parts[j] = key() end
  return read_rolling(r, now) and r
end

-- --- what was passed

local T, C, R, L = {}, {}, {}, {}
for i = 1, throughputs do T[i] = throughput(key()) end
for i = 1, caps do
  C[i] = cap(key())
  if not C[i] then return no('rebuild') end
end
for i = 1, rollings do
  local r = rolling()
  if not r then return no('rebuild') end
  if math.floor(now / r.part) < r.first or math.floor((now + ahead) / r.part) >= r.first + r.count then return no('bounds') end
  R[i] = r
end
local shared_members = {}
for i = 1, shared_rollings do shared_members[i] = word() end
for i = 1, leases do
  local l = {key = key(), limit = arg(), lease = arg()}
  l.waits = math.max(freed(KEYS[1], l.key, l.lease, now), unheld > 0 and unheld + l.lease or 0)
  l.held = redis.call('ZCARD', l.key)
  L[i] = l
end

local shared = {T = {}, C = {}, R = {}}
for i = 1, shared_throughputs do shared.T[i] = i end
for i = 1, shared_caps do shared.C[i] = i end
for i = 1, shared_rollings do shared.R[i] = {i, shared_members[i]} end

local next_of_message = string.gmatch(word(), '([^\31]*)\31')
local function of_message() return tonumber(next_of_message()) end

-- A message's own limits, beside the shared ones; nil where it has none.
local function own()
  local count = of_message()
  if count == 0 then return nil end
  local o = {T = {}, C = {}, R = {}}
  for _ = 1, count do
    local i = of_message()
    if i <= throughputs then o.T[#o.T + 1] = i
    elseif i <= throughputs + caps then o.C[#o.C + 1] = i - throughputs
    else o.R[#o.R + 1] = {i - throughputs - caps, next_of_message()} end
  end
  return o
end

local slots, charged, granted, stopped = {}, {}, 0, {}

-- The first instant at which a message fits into all these rates, and the one that put it off last.
local function earliest(from, slowest, segments, lists)
  local slot, moved = from, true
  while moved do
    moved = false
    for _, list in ipairs(lists) do
      for _, i in ipairs(list) do
        local at_best = fits(T[i], slot, segments, worker, now, now + ahead, granted == 0)
        if at_best > slot then slot, slowest, moved = at_best, i, true end
      end
    end
  end
  return slot, slowest
end

local refused, opens_last, outside = {}, -1, false
local function refuse(place, opens) -- the one that opens last is what holds the message; 0 (never) beats all
  if opens_last ~= 0 and (opens == 0 or opens > opens_last) then refused, opens_last = {place, opens}, opens end
end

local function check(limits, slot, segments)
  for _, i in ipairs(limits.C) do
    local c = C[i]
    local need = c.segments and segments or 1
    c.from, c.to = windows(c.edges, slot)
    if not c.from then
      outside = true
      refuse(throughputs + i, slot)
    else
      for j = c.from, c.to do
        if need > c.limit then refuse(throughputs + i, 0)
        elseif c.used[j] + need > c.limit then refuse(throughputs + i, c.edges[j + 1] + NEAR + 1) end
      end
    end
  end
  for _, each in ipairs(limits.R) do
    local r = R[each[1]]
    local opens = room(r, each[2], slot, r.segments and segments or 1)
    if opens then refuse(throughputs + caps + each[1], opens) end
  end
end

local function check_leases()
  for i, l in ipairs(L) do
    if now < l.waits then
      refuse(throughputs + caps + rollings + i, l.waits)
    elseif l.held + 1 > l.limit then
      local first = redis.call('ZRANGE', l.key, 0, 0, 'WITHSCORES')
      refuse(throughputs + caps + rollings + i, tonumber(first[2] or 0))
    end
  end
end

local marks = {}
local function take(limits, slot, segments)
  for _, i in ipairs(limits.T) do spend(T[i], slot, segments) end
  for _, i in ipairs(limits.C) do
    local c = C[i]
    for j = c.from, c.to do c.used[j] = c.used[j] + (c.segments and segments or 1) end
    marks[i] = BITS[c.from][c.to]
  end
  for _, each in ipairs(limits.R) do
    local r = R[each[1]]
    charge(r, each[2], slot, r.segments and segments or 1)
  end
end

-- --- message by message

local bare, all = {shared.T}, {shared.T, nil}
for m = 1, messages do
  local segments, mine = of_message(), own()
  refused, opens_last = {}, -1
  local slot, slowest = earliest(now, 0, segments, bare)
  local passed = nil
  if slot > now + ahead then
    refuse(slowest, slot)
  elseif mine and mine.T[1] then
    all[2] = mine.T
    local later, which = earliest(slot, slowest, segments, all)
    if later > now + ahead then passed = {which, later} else slot = later end
  end

  if not passed then
    check(shared, slot, segments)
    check_leases()
    if refused[1] then stopped = refused end
    if not stopped[1] and mine then
      check(mine, slot, segments)
      if refused[1] then passed = refused end
    end
    if m == 1 and outside then return no('bounds') end
  end
  if stopped[1] then break end

  if passed then
    slots[m] = passed
    if caps > 0 then charged[m] = '' end
  else
    for i = 1, caps do marks[i] = '0' end
    take(shared, slot, segments)
    if mine then take(mine, slot, segments) end
    for _, l in ipairs(L) do
      redis.call('ZADD', l.key, int(slot + l.lease), ARGV[#ARGV - messages + m])
      redis.call('PEXPIRE', l.key, lasts_ms(slot + l.lease - now))
      l.held = redis.call('ZCARD', l.key)
    end
    slots[m] = slot
    if caps > 0 then charged[m] = table.concat(marks) end
    granted = granted + 1
  end
end

if granted == 0 then return {'ok', now, seq, slots, charged, stopped, {}} end
for i = 1, throughputs do
  if stopped[1] == i or (more and i <= shared_throughputs) then T[i].waits = now end
end

-- --- what changed

for _, t in ipairs(T) do
  redis.call('HSET', t.key, 'n', int(t.n), 'period', int(t.period), 'base', int(t.base), 'k', int(t.k),
    'waits', int(t.waits), 'dense', int(t.dense))
  write_log(t, worker, number)
  redis.call('PEXPIRE', t.key, int(math.ceil((math.max(t.base - now, 0) + 2 * t.period) / 1000) + 60000))
end

local full = {}
for i, c in ipairs(C) do
  for _, j in ipairs(write_cap(c, now)) do full[#full + 1] = 3 * (i - 1) + j end
end
for _, r in ipairs(R) do write_rolling(r, now) end
redis.call('HSET', KEYS[1], 'seq', int(seq + 1), 'now', int(now))
return {'ok', now, seq + 1, slots, charged, stopped, full}
