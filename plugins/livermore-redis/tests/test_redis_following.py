"""Readers of the log that are early, late, far behind or asleep; and what processes say of themselves is believed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from livermore_redis.layout import Layout
from livermore_redis.store import open_store
from redis_server import RedisServer, binary, running

from livermore_core import Batch, Candle, CandleStore, Event, Series, SeriesChange
from livermore_core.store.sqlite import open_store as open_file

EVENTS, AT_ONCE, SYMBOLS = 12_000, 100, 12
KEPT = 200_000
SERIES = [Series("coinbase", f"{symbol}-USD", "1m") for symbol in "ABCDEFGHIJKL"]
Heard = dict[Series, list[int]]
LOG = f"livermore:{{{Layout('livermore').shard('A-USD')}}}:log:candles"
# Bytes for a hundred events and more, of one reader that does not read.
ONE_ANSWER = 1 << 20


@pytest.fixture(params=["redis", "sqlite"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where a store can be: on a server, and in a file."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.sqlite"
    elif binary() is None:
        pytest.skip("no Redis server")
    else:
        async with running() as server:
            yield f"{server.url}?timeout=30"  # a loop that also writes is slow to listen


def opened(url: str, **how: Any) -> Any:
    return (open_file if url.startswith("sqlite") else open_store)(url, **how)


class Reader:
    """Has a connection and a cursor of its own."""

    def __init__(self, store: CandleStore, cursor: str = "") -> None:
        self.heard: Heard = defaultdict(list)
        self._store, self._cursor = store, cursor

    async def read(self, count: int) -> None:
        """Read on until so many events have come."""
        left = count
        while left > 0:
            await self._store.wait(self._cursor, 1.0)
            page = await self._store.events(self._cursor, 5000)
            for self._cursor, event in page:
                self.heard[event.series].append(event.time)
            left -= len(page)


async def written(store: CandleStore, first: int, last: int) -> None:
    """Write closes number `first` to `last`, of all series in turn, many in a transaction."""
    for start in range(first, last, AT_ONCE * SYMBOLS):
        batch = Batch()
        for series in SERIES:
            times = [60 * number for number in range(start // SYMBOLS, (start + AT_ONCE * SYMBOLS) // SYMBOLS)]
            rows = [Candle(each, 1.0, 1.0, 1.0, 1.0, 1.0) for each in times]
            batch.changes.append(SeriesChange(series=series, rows=rows, covered=[(times[0], times[-1] + 60)]))
            exchange, symbol, timeframe = series
            batch.events += [
                Event(
                    kind="candle.closed",
                    exchange=exchange,
                    symbol=symbol,
                    timeframe=timeframe,
                    time=row.time,
                    candle=row,
                )
                for row in rows
            ]
        await store.transact(batch)


async def test_readers_early_late_and_far_behind_hear_the_same_and_one_that_never_reads_harms_nobody(url: str) -> None:
    async with opened(url) as store:
        if hasattr(store, "claim"):
            await store.claim()
        await written(store, 0, AT_ONCE * SYMBOLS)
        first, rest = AT_ONCE * SYMBOLS, EVENTS - AT_ONCE * SYMBOLS
        async with (
            opened(url, read_only=True) as a,
            opened(url, read_only=True) as b,
            opened(url, read_only=True) as c,
            opened(url, read_only=True) as d,
        ):
            early, behind, asleep = Reader(a), Reader(b), Reader(c)
            for reader in (early, behind, asleep):
                await reader.read(first)
            async with asyncio.TaskGroup() as group:
                group.create_task(early.read(rest))
                group.create_task(written(store, first, EVENTS))
            late = Reader(d)
            async with asyncio.TaskGroup() as group:
                group.create_task(behind.read(rest))
                group.create_task(late.read(EVENTS))
            assert behind.heard == late.heard == early.heard
            assert early.heard == {series: [60 * each for each in range(EVENTS // SYMBOLS)] for series in SERIES}
            assert sum(map(len, asleep.heard.values())) == first


async def test_what_a_reader_does_not_read_waits_nowhere_but_in_the_log(server: RedisServer) -> None:
    async with open_store(server.url) as store, open_store(server.url, read_only=True) as reader:
        await store.claim()
        await reader.events("", 1)
        await written(store, 0, EVENTS)
        with server.client() as client:
            assert max(int(each["omem"]) for each in client.client_list()) < ONE_ANSWER
            before = client.memory_usage(LOG)
        await store.trim({}, events=100)
        with server.client() as client:
            assert client.memory_usage(LOG) < before / 5
        assert len(await reader.events("", EVENTS)) <= 100 * SYMBOLS


def row(state: str) -> dict[str, Any]:
    return {"state": state, "pid": 1, "heartbeat_epoch": time.time(), "exchanges": []}


async def test_who_has_just_taken_over_has_a_row_although_it_has_not_said_so_yet(server: RedisServer) -> None:
    async with open_store(server.url) as standby, open_store(server.url) as computing:
        await computing.claim(["values"])
        await computing.write_status(row("LIVE"))
        await standby.write_status(row("STANDBY"))
        await standby.claim(["candles"])
        status = await computing.read_status() or {}
        assert (status["state"], status["holds"]) == ("STANDBY", ["candles"])


async def test_what_a_process_says_of_itself_that_was_woken_late_is_not_believed(server: RedisServer) -> None:
    """It knows of nothing yet: it says STOPPED in its row, and would have that of the one that took over."""

    async with open_store(server.url) as woken, open_store(server.url) as holder:
        await woken.claim()
        await woken.write_status(row("LIVE"))
        with server.client() as client:
            for key in client.scan_iter("livermore:*:head:*"):
                client.hset(key, mapping={"until": 0, "owner": "away"})
        await holder.claim()
        await holder.write_status(row("LIVE"))
        await woken.write_status(row("STOPPED"))
        status = await holder.read_status() or {}
        assert (status["state"], status["holds"], status["processes"]) == ("LIVE", ["candles", "values"], [])
