-- Before a rebuild, and for limits that were not there before: take the database's usage rows as the least that was used. In
-- pieces: people may be millions.
--
-- KEYS  [1] the marker; then per row: its counter, and for a part of a rolling limit the index (else the marker again)
-- ARGV  epoch to be begun (one that never will be: whatever is in force), client_us (the caller's wall clock), first (1: no piece came before; 2: no rebuild); then per row: start of the
--       window or part (us), used, until_us (a part's), member ('': a cap)
-- Returns 1; 0 when the clocks disagree, and nothing changed. Nor did it where another process has begun that epoch.
-- A counter that is higher here stays: grants on their way to the database are in it. One that is lost needs to exist no
-- more unless a row follows: all it had were grants that nobody wrote down, which would be missed at every take.

local RETAIN = 40 * 86400000000
local SKEW = 2000000 -- as in take.lua
local function int(x) return string.format('%.0f', x) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if math.abs(now - tonumber(ARGV[2])) > SKEW then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0) >= tonumber(ARGV[1]) then return 1 end

local function raise(name, field, used)
  redis.call('HSET', name, field, int(math.max(used, tonumber(redis.call('HGET', name, field) or 0))))
end

local function keep(name, until_us) -- no window that exists already may expire sooner
  local ttl = math.ceil((until_us - now) / 1000) + 60000
  redis.call('PEXPIRE', name, int(math.max(ttl, redis.call('PTTL', name))))
  local known = tonumber(redis.call('HGET', KEYS[1], 'c:' .. name) or 0)
  redis.call('HSET', KEYS[1], 'c:' .. name, int(math.max(known, until_us)))
end

-- Before any row: what is lost after that is to be noticed. These keys are not in KEYS, but in the marker's own slot.
local ROLLING = '{gateway}:roll:' -- as in asking.py
local function forget_lost()
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local name = string.match(field, '^c:(.+)$')
    if name and string.sub(name, 1, #ROLLING) == ROLLING then
      for _, start in ipairs(redis.call('HKEYS', name)) do
        if redis.call('EXISTS', name .. ':' .. start) == 0 then redis.call('HDEL', name, start) end
      end
    end
    if name and redis.call('EXISTS', name) == 0 then redis.call('HDEL', KEYS[1], field) end
  end
end

if ARGV[3] == '1' then forget_lost() end

-- A counter that should be there and is not: what of it is in no row would be missed if it were begun here. The next take
-- finds it missing, too, and has all rebuilt from rows that say by then what is to be raised.
local raising = ARGV[3] == '2'
local function lost(name)
  local known = raising and redis.call('EXISTS', name) == 0 and redis.call('HGET', KEYS[1], 'c:' .. name)
  return known and tonumber(known) > now
end
local function part_lost(index, start, part)
  local known = raising and redis.call('EXISTS', part) == 0 and redis.call('HGET', index, start)
  return (known and tonumber(known) > now) or lost(index)
end

for i = 1, (#KEYS - 1) / 2 do
  local counter, index = KEYS[2 * i], KEYS[2 * i + 1]
  local start, used, lasts, member = ARGV[4 * i], tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2]), ARGV[4 * i + 3]
  if index == KEYS[1] then
    if not lost(counter) then
      raise(counter, start, used)
      keep(counter, now + RETAIN)
    end
  elseif lasts > now and not part_lost(index, start, counter) then
    raise(counter, member, used)
    redis.call('PEXPIRE', counter, int(math.ceil((lasts - now) / 1000) + 60000))
    redis.call('HSET', index, start, int(lasts))
    keep(index, lasts)
  end
end
return 1
