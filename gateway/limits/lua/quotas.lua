-- Caps and rolling limits: units debited, by window of the calendar and by part of a length. Stands before take.lua, whose
-- header tells their keys; gateway/limits/quotas.py is their pure model.

local NEAR = 2000000            -- a slot this close to a boundary is charged to both windows
local RETAIN = 40 * 86400000000 -- longer than any window

-- --- what must exist: the marker, KEYS[1], knows until when

-- True when the key should exist and does not: evicted, or deleted by someone.
local function lost(name, now)
  if redis.call('EXISTS', name) == 1 then return false end
  local known = redis.call('HGET', KEYS[1], 'c:' .. name)
  return known and tonumber(known) > now
end

local function must_last(name, until_us) redis.call('HSET', KEYS[1], 'c:' .. name, int(until_us)) end

local function forget_before(name, start)
  for _, each in ipairs(redis.call('HKEYS', name)) do
    if tonumber(each) < start then redis.call('HDEL', name, each) end
  end
end

-- --- caps: c has key, limit, segments (true where it counts them), edges (where three windows begin, and the end of the last)

-- Reads what is used of its windows, 1 to 3; false where that is lost.
local function read_cap(c, now)
  local used = redis.call('HMGET', c.key, int(c.edges[1]), int(c.edges[2]), int(c.edges[3]))
  if not (used[1] or used[2] or used[3]) and lost(c.key, now) then return false end
  c.used, c.was, c.fresh = {}, {}, {}
  for w = 1, 3 do
    c.used[w], c.fresh[w] = tonumber(used[w] or 0), not used[w]
    c.was[w] = c.used[w]
  end
  return true
end

-- The first and last of the windows (1 to 3) a slot is charged to; nil when the bounds passed do not reach that far.
local function windows(e, slot)
  if slot < e[2] or slot + NEAR >= e[4] then return nil end
  return (slot <= e[2] + NEAR and 1) or (slot <= e[3] + NEAR and 2) or 3, slot >= e[3] - NEAR and 3 or 2
end
local BITS = {{[2] = '3', [3] = '7'}, {[2] = '2', [3] = '6'}, {[3] = '4'}}

-- Writes what changed; returns which of its windows are now at four fifths or more.
local function write_cap(c, now)
  local full = {}
  for j = 1, 3 do
    if c.used[j] ~= c.was[j] then
      redis.call('HSET', c.key, int(c.edges[j]), int(c.used[j]))
      if c.used[j] * 5 >= c.limit * 4 then full[#full + 1] = j end
      if c.fresh[j] then -- a window begins: set the key's expiry, forget windows long past
        redis.call('PEXPIRE', c.key, int(RETAIN / 1000))
        must_last(c.key, now + RETAIN)
        forget_before(c.key, c.edges[1])
      end
    end
  end
  return full
end

-- --- rolling limits: parts of their length, each counted until its end is one length old; r has limit, segments, length,
-- part (us), first (the number of its first part), count (of parts), index and parts (keys)

-- Reads which parts there are; false where one is lost.
local function read_rolling(r, now)
  r.starts, r.there, r.used, r.more = {}, {}, {}, {}
  for j = 1, r.count do r.starts[j] = int((r.first + j - 1) * r.part) end
  local known = redis.call('HMGET', r.index, unpack(r.starts))
  local any = false
  for j = 1, r.count do
    any = any or known[j]
    r.there[j] = known[j] and tonumber(known[j]) > now
    if r.there[j] and redis.call('EXISTS', r.parts[j]) == 0 then return false end
  end
  return any or not lost(r.index, now)
end

local function over(r, j) return (r.first + j) * r.part + r.length + NEAR end -- when part j no longer counts

local function used(r, member)
  local counts = r.used[member]
  if counts then return counts end
  counts = {}
  for j = 1, r.count do
    counts[j] = r.there[j] and tonumber(redis.call('HGET', r.parts[j], member) or 0) or 0
  end
  r.used[member] = counts
  return counts
end

-- When there is room for `need` at `slot`: nil for now, else the instant, 0 for never.
local function room(r, member, slot, need)
  if need > r.limit then return 0 end
  local counts, total = used(r, member), need
  for j = 1, r.count do if over(r, j) > slot then total = total + counts[j] end end
  if total <= r.limit then return nil end
  for j = 1, r.count do
    if over(r, j) > slot then
      total = total - counts[j]
      if total <= r.limit then return over(r, j) end
    end
  end
end

local function charge(r, member, slot, need)
  local j = math.floor(slot / r.part) - r.first + 1
  local counts = used(r, member)
  counts[j] = counts[j] + need
  r.more[j] = r.more[j] or {}
  r.more[j][member] = (r.more[j][member] or 0) + need
end

local function write_rolling(r, now)
  for j, members in pairs(r.more) do
    local lasts = over(r, j)
    local ttl = int(math.ceil((lasts - now) / 1000) + 60000)
    for member, more in pairs(members) do redis.call('HINCRBY', r.parts[j], member, int(more)) end
    if not r.there[j] then -- a part begins: as a window does
      redis.call('PEXPIRE', r.parts[j], ttl)
      redis.call('HSET', r.index, r.starts[j], int(lasts))
      redis.call('PEXPIRE', r.index, ttl)
      must_last(r.index, lasts)
      forget_before(r.index, r.first * r.part)
    end
  end
end
