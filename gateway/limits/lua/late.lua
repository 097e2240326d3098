-- Tell throughputs that writes happened later than their slots, so that slots taken from now on keep their distance.
--
-- KEYS  one throughput per entry
-- ARGV  per entry: slot_us, at_us (both on this server's clock), period_us with the guard, period_us without
-- Returns the number of entries after which following slots moved.
-- The units between the two slots lie (next - slot) apart with the guard; after a late write they need only the exact
-- spacing, so what the guard leaves over makes up for the lateness. A gap that follows begins later by the same rule.
-- What was pushed since a slot was granted is remembered (`pushes`: the end of the schedule then, and by how much): many
-- slots that are late together push once. Where it was forgotten they push more than once, never too little.

local MOST_PUSHES = 32

local function int(x) return string.format('%.0f', x) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function tell(name, slot, at, guarded, exact)
  local was = redis.call('HMGET', name, 'n', 'period', 'base', 'k', 'gaps', 'pushes')
  if not was[1] then return 0 end
  local function pushed(instant) return at + math.floor((instant - slot) * exact / guarded) end
  local due = tonumber(was[3]) + math.ceil(tonumber(was[4]) * tonumber(was[2]) / tonumber(was[1]))
  local moved, gaps = 0, {}
  for from, to in string.gmatch(was[5] or '', '(%d+):(%d+)') do
    from, to = tonumber(from), tonumber(to)
    if from >= slot then
      local later = math.max(from, pushed(from))
      if later > from then from, moved = later, 1 end
    end
    if from < to then gaps[#gaps + 1] = int(from) .. ':' .. int(to) end
  end
  local already, pushes = 0, {}
  for from, by in string.gmatch(was[6] or '', '(%d+):(%d+)') do
    if tonumber(from) > slot then already = already + tonumber(by) end
    pushes[#pushes + 1] = from .. ':' .. by
  end
  local to = pushed(due - already)
  if to > due then
    moved = 1
    pushes[#pushes + 1] = int(due) .. ':' .. int(to - due)
    if #pushes > MOST_PUSHES then table.remove(pushes, 1) end
    redis.call('HSET', name, 'base', int(to), 'k', 0, 'pushes', table.concat(pushes, ','))
    redis.call('PEXPIRE', name, int(math.ceil((math.max(to - now, 0) + 2 * tonumber(was[2])) / 1000) + 60000))
  end
  if moved == 1 then redis.call('HSET', name, 'gaps', table.concat(gaps, ',')) end
  return moved
end

local moved = 0
for i = 1, #KEYS do
  local slot, at, guarded, exact = unpack(ARGV, 4 * i - 3, 4 * i)
  moved = moved + tell(KEYS[i], tonumber(slot), tonumber(at), tonumber(guarded), tonumber(exact))
end
return moved
