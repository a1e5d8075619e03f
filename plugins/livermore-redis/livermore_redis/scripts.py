"""What the server does in one step: constant scripts, all of whose keys lie in one shard."""

from __future__ import annotations

from hashlib import sha1

LEASE_MILLISECONDS = 3000

# What is not of the type that it should be is another program's: said with its name, and left as it is.
_ASK = """
local function ask(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then error(answer.err .. ': ' .. key, 0) end
  return answer
end
"""

_NOW = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""

# A lease is a head: owner, epoch and until when (by the server's clock), with the sequence number of its last commit,
# the number of events in its log and the last event that was forgotten. A new owner gets an epoch above all before.
# A log that has lost its head begins anew, for nobody knows what it lacks; of a head that has lost its log all is
# forgotten.
CLAIM = (
    _ASK
    + _NOW
    + """
local head = ask('HMGET', KEYS[1], 'owner', 'epoch', 'until')
local length = ask('XLEN', KEYS[2])
if head[1] and head[1] ~= ARGV[1] and tonumber(head[3]) > ms then
  return {'held', head[1], string.format('%.0f', head[3] - ms)}
end
local epoch = math.max((tonumber(head[2]) or 0) + 1, ms)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', string.format('%.0f', epoch), 'seq', 0,
           'until', string.format('%.0f', ms + ARGV[2]))
if not head[1] and redis.call('DEL', KEYS[2]) == 1 then
  local first = string.format('%.0f-0', epoch)
  redis.call('HSET', KEYS[1], 'last', first, 'floor', first)
end
local last = redis.call('HGET', KEYS[1], 'last')
if length == 0 and last then redis.call('HSET', KEYS[1], 'floor', last, 'events', 0) end
return {'claimed', string.format('%.0f', epoch)}
"""
)

# An epoch before ours is no take-over: the server has forgotten that we came.
_HELD = """
local head = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'seq')
if not head[1] or tonumber(head[2]) < tonumber(ARGV[2]) then return {'gone'} end
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] then return {'fenced', head[1]} end
"""

# What builds on commits that the server has forgotten waits until they are sent again; what comes late, after commits
# that it does not know of, is not done (once more).
_WHOLE = (
    _HELD
    + """
if tonumber(head[3]) < tonumber(ARGV[3]) then return {'lost', head[3]} end
if tonumber(head[3]) > tonumber(ARGV[3]) then return {'already', head[3]} end
"""
)

# The lease goes on (or, with 0 milliseconds, ends).
RENEW = (
    _HELD
    + _NOW
    + """
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', ms + ARGV[3]))
return {'renewed', head[3]}
"""
)

# Compare and append. KEYS: head, log, coverage, then candles and values of series.
# ARGV: owner, epoch, seq, new seq, events, entry, operations. These are one flat list in MessagePack: coverage (k, key,
# series, packed), rows of a block (c, key, block, records in order of slots), a value (v, key, indicator, packed).
# K and C are k and c of a series that has coverage, or rows, already: what an eviction took is not begun anew, which
# nobody could tell from what it was. All is read before anything is written, so that what refuses (another program's
# key) refuses the whole; the first write is one that a full server refuses.
COMMIT = (
    _ASK
    + _WHOLE
    + """
local SIZE = 46
local function merged(old, new)
  if not old or old == '' then return new end
  if string.byte(old, #old - SIZE + 1) < string.byte(new, 1) then return old .. new end
  local out, i, j = {}, 1, 1
  while i <= #old and j <= #new do
    local a, b = string.byte(old, i), string.byte(new, j)
    if a < b then
      out[#out + 1] = string.sub(old, i, i + SIZE - 1)
      i = i + SIZE
    else
      out[#out + 1] = string.sub(new, j, j + SIZE - 1)
      j = j + SIZE
      if a == b then i = i + SIZE end
    end
  end
  out[#out + 1] = string.sub(old, i)
  out[#out + 1] = string.sub(new, j)
  return table.concat(out)
end
if ask('XLEN', KEYS[2]) == 0 and (tonumber(redis.call('HGET', KEYS[1], 'events')) or 0) > 0 then return {'gone'} end
ask('HLEN', KEYS[3])
local ops = cmsgpack.unpack(ARGV[7])
for i = 1, #ops, 4 do
  local kind = ops[i]
  ops[i + 1] = KEYS[ops[i + 1]]
  if kind == 'C' and ask('HLEN', ops[i + 1]) == 0 or kind == 'K' and ask('HEXISTS', ops[i + 1], ops[i + 2]) == 0 then
    return {'gone'}
  end
  if kind == 'c' or kind == 'C' then
    ops[i + 2] = string.format('%.0f', ops[i + 2])
    ops[i + 3] = merged(ask('HGET', ops[i + 1], ops[i + 2]), ops[i + 3])
  elseif kind == 'v' then
    ask('HLEN', ops[i + 1])
  end
end
for i = 1, #ops, 4 do redis.call('HSET', ops[i + 1], ops[i + 2], ops[i + 3]) end
if ARGV[5] ~= '0' then
  redis.call('XADD', KEYS[2], ARGV[2] .. '-' .. ARGV[4], 'n', ARGV[5], 'e', ARGV[6])
  redis.call('HINCRBY', KEYS[1], 'events', ARGV[5])
  redis.call('HSET', KEYS[1], 'last', ARGV[2] .. '-' .. ARGV[4])
end
redis.call('HSET', KEYS[1], 'seq', ARGV[4])
return {'done', ARGV[4]}
"""
)

# The blocks that hold the newest ARGV[3] rows shown (0: all), ascending, of blocks ARGV[1] <= block < ARGV[2].
# The newest block does not count, for the asker may want a part of it only.
BLOCKS = """
local low, high, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local block = tonumber(field)
  if low <= block and block < high then found[#found + 1] = block end
end
table.sort(found, function(a, b) return a > b end)
local out, rows = {}, 0
for i, block in ipairs(found) do
  if wanted > 0 and rows >= wanted then break end
  local data = redis.call('HGET', KEYS[1], string.format('%.0f', block))
  out[#out + 1] = {string.format('%.0f', block), data}
  if wanted > 0 and i > 1 then
    for at = 2, #data, 46 do
      if string.byte(data, at) < 128 then rows = rows + 1 end
    end
  end
end
return out
"""

# Keep the newest ARGV[5] rows shown; ARGV[4] is the series, ARGV[6] its width. Coverage before them goes with them, and
# what is left of it is told: also where nothing goes, for the answer to who took them may be lost. The first write is
# one that a full server takes.
TRIM = (
    _WHOLE
    + """
local keep, width = tonumber(ARGV[5]), tonumber(ARGV[6])
local found = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do found[#found + 1] = tonumber(field) end
table.sort(found, function(a, b) return a > b end)
local rows, edge, gone = 0, nil, 0
for _, block in ipairs(found) do
  local field = string.format('%.0f', block)
  local data = redis.call('HGET', KEYS[2], field)
  if edge then
    gone = gone + #data / 46
    redis.call('HDEL', KEYS[2], field)
  else
    for at = #data - 45, 1, -46 do
      if string.byte(data, at + 1) < 128 then rows = rows + 1 end
      if rows == keep then
        edge = (block * 64 + string.byte(data, at)) * width
        if at > 1 then
          gone = gone + (at - 1) / 46
          redis.call('HDEL', KEYS[2], field)
          redis.call('HSET', KEYS[2], field, string.sub(data, at))
        end
        break
      end
    end
  end
end
if not edge then return {'done', '0'} end
local kept = redis.call('HGET', KEYS[3], ARGV[4]) or '\\1'
if gone > 0 then
  local parts = {string.sub(kept, 1, 1)}
  for at = 2, #kept, 16 do
    local low, high = struct.unpack('<dd', kept, at)
    if high > edge then parts[#parts + 1] = struct.pack('<dd', math.max(low, edge), high) end
  end
  kept = table.concat(parts)
  redis.call('HSET', KEYS[3], ARGV[4], kept)
end
return {'done', string.format('%.0f', gone), kept}
"""
)

# Nothing is known of the series ARGV[4] any more.
DROP = (
    _WHOLE
    + """
redis.call('HDEL', KEYS[2], ARGV[4])
return {'done'}
"""
)

# Keep the newest ARGV[4] events of the log; what is forgotten of an entry whose rest is kept is known by `floor` alone.
FORGET = (
    _WHOLE
    + """
local fields = redis.call('HMGET', KEYS[1], 'events', 'floor')
local events = tonumber(fields[1]) or 0
local drop = events - tonumber(ARGV[4])
if drop <= 0 then return {'done'} end
local left, floor = drop, fields[2] or '0-0'
while left > 0 do
  local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 64)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    local epoch, last = string.match(entry[1], '(%d+)-(%d+)')
    local first = last - entry[2][2] + 1
    local past_epoch, past = string.match(floor, '(%d+)-(%d+)')
    if past_epoch == epoch and tonumber(past) >= first then first = past + 1 end
    local rest = last - first + 1
    if rest > left then
      floor = string.format('%s-%.0f', epoch, first + left - 1)
      left = 0
      break
    end
    redis.call('XDEL', KEYS[2], entry[1])
    floor = entry[1]
    left = left - rest
    if left == 0 then break end
  end
end
redis.call('HSET', KEYS[1], 'floor', floor, 'events', events - drop + left)
return {'done'}
"""
)

# Of each head: the newest event, and the newest that was forgotten; as one string, which a reader takes in at once.
LOOK = """
local out = {}
for i, key in ipairs(KEYS) do
  local head = redis.call('HMGET', key, 'last', 'floor')
  out[i] = (head[1] or '') .. ',' .. (head[2] or '')
end
return table.concat(out, ' ')
"""

# The place before the newest ARGV[1] entries of a log, if there are so many, and the newest event that was forgotten.
BACK = """
local floor = redis.call('HGET', KEYS[1], 'floor') or '0-0'
local entries = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[1])
if #entries < tonumber(ARGV[1]) then return {floor, floor} end
local oldest = entries[#entries]
local epoch, last = string.match(oldest[1], '(%d+)-(%d+)')
return {string.format('%s-%.0f', epoch, last - oldest[2][2]), floor}
"""

# Of each head: who writes now.
OWNERS = (
    _NOW
    + """
local out = {}
for i, key in ipairs(KEYS) do
  local head = redis.call('HMGET', key, 'owner', 'until')
  out[i] = (tonumber(head[2]) or 0) > ms and head[1] or ''
end
return out
"""
)

# Which of the keys are there.
THERE = """
local out = {}
for i, key in ipairs(KEYS) do out[i] = redis.call('EXISTS', key) end
return out
"""

# What holds for the whole store, by whoever comes first.
MAKE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'shards', ARGV[2], 'generation', ARGV[3])
end
return {'made'}
"""

_TEXTS = {
    "MAKE": MAKE,
    "CLAIM": CLAIM,
    "RENEW": RENEW,
    "COMMIT": COMMIT,
    "BLOCKS": BLOCKS,
    "TRIM": TRIM,
    "DROP": DROP,
    "FORGET": FORGET,
    "LOOK": LOOK,
    "BACK": BACK,
    "OWNERS": OWNERS,
    "THERE": THERE,
}
# Each script by its name: its text, and the name that the server has for it.
ALL = {name: (text, sha1(text.encode(), usedforsecurity=False).hexdigest()) for name, text in _TEXTS.items()}
