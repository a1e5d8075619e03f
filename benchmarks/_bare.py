"""Holds the least that stores and announces the same bytes: one script on Redis, one batched upsert in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha1
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from _traffic import SERIES, Group
from livermore_redis.layout import Layout
from livermore_redis.packing import BLOCK, RECORD, SOURCES, packed_coverage, packed_entry, packed_event
from redis.asyncio import Redis

from livermore_core import Batch, Candle, Intervals, Series, width
from livermore_core.store.schema import TABLES, to_row

# ARGV: entry, number of blocks, then series and coverage of each, key and field of each block, and the blocks.
SCRIPT = """
redis.call('XADD', KEYS[1], '*', 'e', ARGV[1])
local blocks = tonumber(ARGV[2])
local places, packed = #ARGV - 3 * blocks, #ARGV - blocks
for i = 3, places, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
for i = 1, blocks do
  redis.call('HSET', KEYS[tonumber(ARGV[places + 2 * i - 1])], ARGV[places + 2 * i], ARGV[packed + i])
end
"""
DIGEST = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
BARE = Layout("bare")
IDENTITIES = {series: number for number, series in enumerate(SERIES)}


# ---- Redis ----


class BareRedis:
    """A client that packs rows and sends them, a group in one round trip: one script for each batch.

    `strict`: one for each shard of a group, and its rows are packed beforehand.
    """

    def __init__(self, socket: Path, *, strict: bool) -> None:
        self._client: Any = Redis(unix_socket_path=str(socket))
        self._strict = strict

    async def open(self) -> None:
        await self._client.script_load(SCRIPT)

    def prepare(self, groups: Sequence[Group]) -> None:
        """Make the rows that `write` will send, and what goes with them."""
        self._groups = [
            [_call(batches) for batches in (_by_shard(group) if self._strict else [[batch] for batch in group])]
            for group in groups
        ]
        self._packed = [[_packed(blocks) for *_, blocks in calls] for calls in self._groups] if self._strict else None

    async def write(self) -> None:
        """Send them, packed here where they are not yet."""
        for number, calls in enumerate(self._groups):
            pipeline = self._client.pipeline(transaction=False)
            for at, (keys, arguments, blocks) in enumerate(calls):
                packed = self._packed[number][at] if self._packed else _packed(blocks)
                pipeline.evalsha(DIGEST, len(keys), *keys, *arguments, *packed)
            await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()


def _packed(blocks: Iterable[Iterable[Any]]) -> list[bytes]:
    return [b"".join([RECORD.pack(*row) for row in rows]) for rows in blocks]


def _by_shard(group: Group) -> Iterable[list[Batch]]:
    shards: dict[int, list[Batch]] = {}
    for batch in group:
        shards.setdefault(BARE.shard(batch.events[0].symbol), []).append(batch)
    return shards.values()


def _call(batches: Sequence[Batch]) -> tuple[list[str], list[Any], list[list[Any]]]:
    """Keys, arguments but for the last ones, and the rows of these: for each of them, a key and a field come before."""
    shard = BARE.shard(batches[0].events[0].symbol)
    events = [packed_event(event) for batch in batches for event in batch.events]
    keys, coverage, places, blocks = [BARE.log(shard), BARE.coverage(shard)], list[Any](), list[Any](), list[Any]()
    for change in (change for batch in batches for change in batch.changes):
        coverage += [str(change.series), packed_coverage(Intervals(change.covered), True)]
        keys.append(BARE.candles(change.series))
        for block, rows in groupby(change.rows, lambda row: row.time // (width(change.series.timeframe) * BLOCK)):  # noqa: B023 - used up here
            places += [len(keys), block]
            blocks.append([_record(change.series, row) for row in rows])
    return keys, [packed_entry(events), len(places) // 2, *coverage, *places], blocks


def _record(series: Series, row: Candle) -> tuple[Any, ...]:
    slot = row.time // width(series.timeframe) % BLOCK
    return (slot, SOURCES.index(row.source), row.revision, row.open, row.high, row.low, row.close, row.volume)


# ---- SQLite ----


class BareSqlite:
    """A connection, as durable as ours: for each group one transaction, one statement for each table."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {TABLES}")

    def prepare(self, groups: Sequence[Group]) -> None:
        """Make the rows that `write` will write."""
        self._groups = [tuple(zip(*map(_rows, group), strict=True)) for group in groups]

    async def write(self) -> None:
        """Write them."""
        many = self._connection.executemany
        for candles, coverage, events in self._groups:
            self._connection.execute("BEGIN IMMEDIATE")
            many(
                "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [row for rows in candles for row in rows],
            )
            many("INSERT OR REPLACE INTO coverage VALUES (?, ?, ?)", coverage)
            many(
                "INSERT OR IGNORE INTO events (series, time, revision, kind, indicator, payload)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                events,
            )
            self._connection.execute("COMMIT")

    async def close(self) -> None:
        self._connection.close()


def _rows(batch: Batch) -> tuple[Any, ...]:
    """Rows of the three tables."""
    (change,), (event,) = batch.changes, batch.events
    identity = IDENTITIES[change.series]
    payload = msgspec.msgpack.encode(event)
    return (
        [to_row(identity, row, False) for row in change.rows],
        (identity, *change.covered[0]),
        (identity, event.time, event.revision, event.kind, "", payload),
    )
