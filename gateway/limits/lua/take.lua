-- Take all limits of each message or none, for as many messages as fit, in order, on this server's clock.
-- gateway/limits/gcra.py is the pure model of this script: change both, or the tests fail.
--
-- KEYS  [1] the marker; then one per throughput, per cap, per concurrency limit, in the order of ARGV. One hash tag.
-- ARGV  client_us   the caller's wall clock           epoch    the counters' epoch the caller knows
--       seen        highest grant number it knows     ahead_us how far beyond now a slot may lie
--       throughputs caps leases messages              how many of each follow
--       per throughput  n, period_us (guard included), 1 if it counts segments
--       per cap         limit, 1 if it counts segments, previous, start, end, after: bounds of three windows, us
--       per lease       limit, lease_us
--       per message     segments
--       per message     its holder's name (only when there are leases)
-- Returns  {status, now_us, seq, slots, masks, refused}
--       status  ok | rebuild | clock_skew | bounds
--       slots   one instant a granted message, us; masks: which windows each was charged to, 3 bits a cap
--       refused {} or {index of the limit in KEYS less 1, opens_at_us or 0 for never}: the next message's
-- State  marker: hash epoch, seq, now, quiet, server, c:<cap key> = until when that key must exist
--        throughput: hash n, period, base, k: the next slot is base + ceil(k * period / n), 0 <= k < n
--        cap: hash window start -> units debited.  lease: zset holder -> expiry.  Instants are us.

local NEAR = 2000000            -- a slot this close to a boundary is charged to both windows
local SKEW = 2000000            -- clocks that differ by more are not trusted
local RETAIN = 40 * 86400000000 -- longer than any window

local function int(x) return string.format('%.0f', x) end

local at = 0
local function arg() at = at + 1 return tonumber(ARGV[at]) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local client, epoch, seen, ahead = arg(), arg(), arg(), arg()
local throughputs, caps, leases, messages = arg(), arg(), arg(), arg()

local marker = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'now', 'quiet')
local seq, last, quiet = tonumber(marker[2] or 0), tonumber(marker[3] or 0), tonumber(marker[4] or 0)
if tonumber(marker[1] or 0) ~= epoch or seq < seen then return {'rebuild', now, seq, {}, {}, {}} end
if now < last or math.abs(now - client) > SKEW then return {'clock_skew', now, seq, {}, {}, {}} end

-- A rate whose numbers changed starts anew, one new interval after its last slot.
local function throughput(key)
  local t = {key = key, n = arg(), period = arg(), segments = arg() == 1, base = 0, k = 0}
  local was = redis.call('HMGET', key, 'n', 'period', 'base', 'k')
  if was[1] then
    local n, period = tonumber(was[1]), tonumber(was[2])
    t.base, t.k = tonumber(was[3]), tonumber(was[4])
    if n ~= t.n or period ~= t.period then
      local slower = math.ceil(t.period / t.n) - math.floor(period / n)
      t.base, t.k = t.base + math.ceil(t.k * period / n) + math.max(0, slower), 0
    end
  end
  if t.base + math.ceil(t.k * t.period / t.n) < quiet + t.period then t.base, t.k = quiet + t.period, 0 end
  return t
end

local function due(t) return t.base + math.ceil(t.k * t.period / t.n) end

local function spend(t, slot, segments)
  if slot > due(t) then t.base, t.k = slot, 0 end -- time not used is gone: spacing, not a bucket
  t.k = t.k + (t.segments and segments or 1)
  t.base, t.k = t.base + math.floor(t.k / t.n) * t.period, t.k % t.n
end

-- Nil when the key should exist and does not: evicted, or deleted by someone.
local function cap(key)
  local c = {key = key, limit = arg(), segments = arg() == 1, edges = {arg(), arg(), arg(), arg()}, used = {}, was = {}, fresh = {}}
  local used = redis.call('HMGET', key, int(c.edges[1]), int(c.edges[2]), int(c.edges[3]))
  if not (used[1] or used[2] or used[3]) and redis.call('EXISTS', key) == 0 then
    local known = redis.call('HGET', KEYS[1], 'c:' .. key)
    if known and tonumber(known) > now then return nil end
  end
  for w = 1, 3 do
    c.used[w], c.fresh[w] = tonumber(used[w] or 0), not used[w]
    c.was[w] = c.used[w]
  end
  return c
end

-- The first and last of the windows (1 to 3) a slot is charged to; nil when the bounds passed do not reach that far.
local function windows(e, slot)
  if slot < e[2] or slot + NEAR >= e[4] then return nil end
  return (slot <= e[2] + NEAR and 1) or (slot <= e[3] + NEAR and 2) or 3, slot >= e[3] - NEAR and 3 or 2
end
local BITS = {{[2] = 3, [3] = 7}, {[2] = 2, [3] = 6}, {[3] = 4}}

local T, C, L = {}, {}, {}
for i = 1, throughputs do T[i] = throughput(KEYS[1 + i]) end
for i = 1, caps do
  C[i] = cap(KEYS[1 + throughputs + i])
  if not C[i] then return {'rebuild', now, seq, {}, {}, {}} end
end
for i = 1, leases do
  local l = {key = KEYS[1 + throughputs + caps + i], limit = arg(), lease = arg()}
  redis.call('ZREMRANGEBYSCORE', l.key, '-inf', int(now))
  l.held = redis.call('ZCARD', l.key)
  L[i] = l
end
local segments_at = at
local holders_at = at + messages

local refused, opens_last = {}, -1
local function refuse(index, opens) -- the one that opens last is what holds the message; 0 (never) beats all
  if opens_last ~= 0 and (opens == 0 or opens > opens_last) then refused, opens_last = {index, opens}, opens end
end

local slots, masks = {}, {}
for m = 1, messages do
  local segments = tonumber(ARGV[segments_at + m])
  local slot, slowest = now, 0
  for i, t in ipairs(T) do if due(t) > slot then slot, slowest = due(t), i end end
  if slot > now + ahead then refuse(slowest, slot) end

  local mask = 0
  for i = 1, caps do
    local c = C[i]
    local need = c.segments and segments or 1
    c.from, c.to = windows(c.edges, slot)
    if not c.from then
      if m == 1 then return {'bounds', now, seq, {}, {}, {}} end
      refuse(throughputs + i, slot)
    else
      mask = mask + BITS[c.from][c.to] * 8 ^ (i - 1)
      for j = c.from, c.to do
        if need > c.limit then refuse(throughputs + i, 0)
        elseif c.used[j] + need > c.limit then refuse(throughputs + i, c.edges[j + 1] + NEAR + 1) end
      end
    end
  end

  for i, l in ipairs(L) do
    if l.held + 1 > l.limit then
      local first = redis.call('ZRANGE', l.key, 0, 0, 'WITHSCORES')
      refuse(throughputs + caps + i, tonumber(first[2] or 0))
    end
  end
  if refused[1] then break end

  for _, t in ipairs(T) do spend(t, slot, segments) end
  for i = 1, caps do
    local c = C[i]
    for j = c.from, c.to do c.used[j] = c.used[j] + (c.segments and segments or 1) end
  end
  for _, l in ipairs(L) do
    redis.call('ZADD', l.key, int(slot + l.lease), ARGV[holders_at + m])
    redis.call('PEXPIRE', l.key, int(math.ceil((slot + l.lease - now) / 1000) + 60000))
    l.held = redis.call('ZCARD', l.key)
  end
  slots[m], masks[m] = slot, mask
end

if not slots[1] then return {'ok', now, seq, slots, masks, refused} end

for _, t in ipairs(T) do
  redis.call('HSET', t.key, 'n', int(t.n), 'period', int(t.period), 'base', int(t.base), 'k', int(t.k))
  redis.call('PEXPIRE', t.key, int(math.ceil((t.base - now + 2 * t.period) / 1000) + 60000))
end
for _, c in ipairs(C) do
  for j = 1, 3 do
    if c.used[j] ~= c.was[j] then
      redis.call('HSET', c.key, int(c.edges[j]), int(c.used[j]))
      if c.fresh[j] then -- a window begins: set the key's expiry, forget windows long past
        redis.call('PEXPIRE', c.key, int(RETAIN / 1000))
        redis.call('HSET', KEYS[1], 'c:' .. c.key, int(now + RETAIN))
        for _, start in ipairs(redis.call('HKEYS', c.key)) do
          if tonumber(start) < c.edges[1] then redis.call('HDEL', c.key, start) end
        end
      end
    end
  end
end
redis.call('HSET', KEYS[1], 'seq', int(seq + 1), 'now', int(now))
return {'ok', now, seq + 1, slots, masks, refused}
