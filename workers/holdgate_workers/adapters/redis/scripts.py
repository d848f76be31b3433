"""What runs inside Redis, each in one step that nobody can come between."""

from __future__ import annotations

LOOK = """
local marker = redis.call('HMGET', KEYS[1], 'generation', 'house', 'writes')
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
return {marker[1] or '', marker[2] or '', tonumber(marker[3] or '0'), due}
"""
"""KEYS: marker, due. ARGV: how many at most. Gives generation, house, writes so far, due occurrences."""

BEGIN = """
if ARGV[3] == '1' or redis.call('HEXISTS', KEYS[1], 'generation') == 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'house', ARGV[2], 'name', ARGV[4])
end
return 1
"""
"""KEYS: marker, due. ARGV: generation, house (the installation's id), whether to replace one that is there, where the
installation's database is (for people)."""

WRITE = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return false
end
local t = redis.call('TIME')
local at = t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[2])
local written, stale, left = 0, 0, {}
for i = 3, #KEYS do
  local a = 3 + (i - 3) * 7
  local id, version, decided = ARGV[a], ARGV[a + 1], ARGV[a + 2]
  local valid, keep, body, product = ARGV[a + 3], tonumber(ARGV[a + 4]), ARGV[a + 5], ARGV[a + 6]
  local old = redis.call('HMGET', KEYS[i], 'generation', 'version', 'decided', 'product')
  local known = old[1] == ARGV[1]
  local older = false
  if known then
    local before, now = tonumber(old[2]), tonumber(version)
    older = before > now and body ~= ''
      or (before == now or body == '') and tonumber(old[3]) > tonumber(decided)
  end
  if older then
    stale = stale + 1
  else
    if known and id ~= '' and old[4] ~= product and body ~= '' then
      left[#left + 1] = old[4]
    end
    local until_ = ''
    if body == '' or keep <= 0 then
      redis.call('DEL', KEYS[i])
    else
      if valid ~= '' then
        until_ = string.format('%.0f', at + tonumber(valid))
      end
      redis.call('HSET', KEYS[i], 'generation', ARGV[1], 'version', version, 'decided', decided,
        'at', string.format('%.0f', at), 'until', until_, 'product', product, 'body', body)
      redis.call('PEXPIRE', KEYS[i], keep)
      written = written + 1
    end
    if id ~= '' then
      if until_ == '' then
        redis.call('ZREM', KEYS[2], id)
      else
        redis.call('ZADD', KEYS[2], until_, id)
      end
    end
  end
end
return {written, stale, left, redis.call('HINCRBY', KEYS[1], 'writes', 1)}
"""
"""KEYS: marker, due, one per entry. ARGV: generation, age in ms; per entry: id (empty for a product), version, instant
of the read (µs of the database's clock), for how long it stays true (ms, empty: for ever), for how long to keep it
(ms), body (empty: it is gone), product. Gives how many were written and refused, the products that were left, and the
number of this write."""

MARK = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return false
end
if tonumber(redis.call('HGET', KEYS[1], 'writes') or '0') < tonumber(ARGV[3]) then
  return false
end
local t = redis.call('TIME')
local fresh = t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[2])
local before = redis.call('HGET', KEYS[1], 'fresh')
if not before or tonumber(before) < fresh then
  redis.call('HSET', KEYS[1], 'fresh', string.format('%.0f', fresh))
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
"""KEYS: marker. ARGV: generation, age in ms, the write that must be there, for how long to keep the marker (ms)."""
