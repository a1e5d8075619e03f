"""Holds ways to keep candles in Redis, each with an upsert by one script and a read of the newest in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from struct import Struct
from typing import Any

import msgspec

NEWEST = 200
STEP = 60
# Time, open, high, low, close, volume.
Row = tuple[int, float, float, float, float, float]
NUMBERS = Struct("<5d")
TIMED = Struct("<I5d")

UPSERT_BLOCKS = """
local size = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local old, new = redis.call('HGET', KEYS[1], ARGV[i]) or '', ARGV[i + 1]
  local first = string.byte(new, 1)
  local at = #old - size + 1
  while at > 0 and string.byte(old, at) >= first do at = at - size end
  redis.call('HSET', KEYS[1], ARGV[i], string.sub(old, 1, at + size - 1) .. new)
end
"""
NEWEST_BLOCKS = """
local found = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do found[#found + 1] = tonumber(field) end
table.sort(found, function(a, b) return a > b end)
local out, rows = {}, 0
for i, block in ipairs(found) do
  if rows >= tonumber(ARGV[1]) then break end
  out[i] = redis.call('HGET', KEYS[1], string.format('%.0f', block))
  rows = rows + #out[i] / tonumber(ARGV[2])
end
return out
"""
SET_FIELDS = "redis.call('HSET', KEYS[1], unpack(ARGV))"
NEWEST_FIELDS = """
local found = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do found[#found + 1] = tonumber(field) end
table.sort(found, function(a, b) return a > b end)
for i = 1, #found do found[i] = string.format('%.0f', found[i]) end
return redis.call('HMGET', KEYS[1], unpack(found, 1, math.min(#found, tonumber(ARGV[1]))))
"""
SET_MEMBERS = """
for i = 1, #ARGV, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[i], ARGV[i])
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
end
"""
SET_STRINGS = "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end"
PUSH = "redis.call('RPUSH', KEYS[1], unpack(ARGV))"
ADD = "for i = 1, #ARGV, 2 do redis.call('XADD', KEYS[1], ARGV[i] .. '-1', 'c', ARGV[i + 1]) end"


class Way:
    """One way to keep the candles of a series under a key; `client.digests` are what the server calls the scripts."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        """Put rows in, in place of what is there of the same time."""
        raise NotImplementedError

    def newest(self, key: str) -> Any:
        """The newest 200, in one round trip."""
        raise NotImplementedError

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return self.client.evalsha(self.client.digests[script], len(keys), *keys, *arguments)


class Blocks(Way):
    """A hash: so many buckets in a field, fixed records that begin with their slot. Ours with 64 and 46 bytes."""

    def __init__(self, client: Any, buckets: int, record: Struct, *between: int) -> None:
        super().__init__(client)
        self._buckets, self._record, self._between = buckets, record, between

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        size, record, between = self._buckets, self._record.pack, self._between
        arguments: list[Any] = [self._record.size]
        for block, part in groupby(rows, lambda row: row[0] // STEP // size):
            arguments += [block, b"".join([record(row[0] // STEP % size, *between, *row[1:]) for row in part])]
        self._run(UPSERT_BLOCKS, [key], arguments)

    def newest(self, key: str) -> Any:
        return self._run(NEWEST_BLOCKS, [key], [NEWEST, self._record.size])


class Fields(Way):
    """A hash: a field for each candle."""

    def __init__(self, client: Any, pack: Callable[[Row], bytes]) -> None:
        super().__init__(client)
        self._pack = pack

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        self._run(SET_FIELDS, [key], [each for row in rows for each in (row[0], self._pack(row))])

    def newest(self, key: str) -> Any:
        return self._run(NEWEST_FIELDS, [key], [NEWEST])


class SortedSet(Way):
    """A sorted set by open time."""

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        self._run(SET_MEMBERS, [key], [each for row in rows for each in (row[0], msgspec.msgpack.encode(row))])

    def newest(self, key: str) -> Any:
        return self.client.zrange(key, -NEWEST, -1)


class Strings(Way):
    """A string for each candle: whoever reads must know which there are."""

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        self._last = rows[-1][0]
        self._run(SET_STRINGS, [f"{key}:{row[0]}" for row in rows], [NUMBERS.pack(*row[1:]) for row in rows])

    def newest(self, key: str) -> Any:
        return self.client.mget([f"{key}:{self._last - number * STEP}" for number in range(NEWEST)])


class List(Way):
    """A list, appended to."""

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        self._run(PUSH, [key], [TIMED.pack(*row) for row in rows])

    def newest(self, key: str) -> Any:
        return self.client.lrange(key, -NEWEST, -1)


class Stream(Way):
    """A stream, appended to."""

    def upsert(self, key: str, rows: Sequence[Row]) -> None:
        self._run(ADD, [key], [each for row in rows for each in (row[0], NUMBERS.pack(*row[1:]))])

    def newest(self, key: str) -> Any:
        return self.client.xrevrange(key, count=NEWEST)


KEPT = Struct("<BBI5d")
WAYS: dict[str, Callable[[Any], Way]] = {
    "blocks_of_64": lambda client: Blocks(client, 64, KEPT, 0, 0),
    "blocks_of_32": lambda client: Blocks(client, 32, KEPT, 0, 0),
    "blocks_of_128": lambda client: Blocks(client, 128, KEPT, 0, 0),
    "blocks_of_64_without_revision": lambda client: Blocks(client, 64, Struct("<B5d")),
    "blocks_of_64_aligned": lambda client: Blocks(client, 64, Struct("<BBHI5d"), 0, 0, 0),
    "blocks_of_64_float32": lambda client: Blocks(client, 64, Struct("<BBI5f"), 0, 0),
    "hash_of_structs": lambda client: Fields(client, lambda row: NUMBERS.pack(*row[1:])),
    "hash_of_msgpack": lambda client: Fields(client, lambda row: msgspec.msgpack.encode(row[1:])),
    "hash_of_json": lambda client: Fields(client, lambda row: msgspec.json.encode(row[1:])),
    "sorted_set_of_msgpack": SortedSet,
    "strings": Strings,
    "list_of_structs": List,
    "stream": Stream,
}
SCRIPTS = (UPSERT_BLOCKS, NEWEST_BLOCKS, SET_FIELDS, NEWEST_FIELDS, SET_MEMBERS, SET_STRINGS, PUSH, ADD)
