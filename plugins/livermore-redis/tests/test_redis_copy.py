"""A store is copied into Redis and back: its logs have the events in another order, and nothing else differs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from copies import MINUTES, Mortal, closed, contents, fill, row
from livermore_indicators import IndicatorCalculationService
from livermore_redis.store import open_store
from msgspec.structs import replace
from redis_server import WHERE, RedisServer, binary, running

from livermore_core import Batch, CandleStore, ConfigurationError, Event, IndicatorValue, Series, SeriesChange
from livermore_core.cli.group import run
from livermore_core.loading import tolerant_plugins
from livermore_core.store import copying, copying_log
from livermore_core.store.copying import Copying
from livermore_core.store.sqlite import open_store as open_file
from livermore_core.testing import MemoryExchange, MemoryStore, harness

SYMBOLS = ("BBB-USD", "CCC-USD", "DDD-USD")
TYPES = {"macd-v": "livermore_indicators.macd_v:MacdV", "obv": "livermore_indicators.obv:Obv"}


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, and pages so small that everything has several."""
    for name in [name for name in os.environ if name.startswith("LIVERMORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(copying_log, "EVENTS_AT_ONCE", 9)
    monkeypatch.setattr(copying_log, "READ_AT_ONCE", 4)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A server that keeps nothing on disk, and so is quick."""
    if binary() is None:
        pytest.skip(WHERE)
    async with running() as started:
        yield started


def of(symbol: str, minute: int, kind: str = "candle.closed") -> Event:
    value = (
        IndicatorValue(indicator="one", time=60 * minute, outputs={"value": 0.1}) if kind != "candle.closed" else None
    )
    return replace(closed(minute), symbol=symbol, kind=kind, value=value, candle=None if value else row(minute))


async def fill_shards(store: CandleStore) -> None:
    """More of the same, of symbols that change in turn, with values that have heard up to several places between."""
    await fill(store)
    for minute in range(6):
        for symbol in SYMBOLS:
            series, covered = MINUTES._replace(symbol=symbol), [(60 * minute, 60 * minute + 60)]
            change = SeriesChange(series=series, rows=[row(minute)], covered=covered)
            cursor = await store.transact(Batch(changes=[change], events=[of(symbol, minute)]))
            value = IndicatorValue(
                indicator=f"{minute % 4}", time=60 * minute, outputs={"value": 0.1}, state="{}", cursor=cursor
            )
            told = of(symbol, minute, "indicator.value")
            await store.transact(Batch(changes=[SeriesChange(series=series, values=[value])], events=[told]))


def tracks(events: list[Event] | None) -> dict[tuple[Series, bool], list[Event]] | None:
    """What has an order: the events of each series, those of candles and those of values."""
    if events is None:
        return None
    found = defaultdict(list)
    for event in events:
        found[event.series, event.value is None].append(event)
    return found


async def everything(store: CandleStore) -> Any:
    held, log = await contents(store)
    values = {series: [(*about, tracks(heard)) for *about, heard in each[3]] for series, each in held.items()}
    return {series: each[:3] for series, each in held.items()}, values, tracks(log)


async def test_a_copy_in_redis_and_its_copy_hold_all_that_the_source_holds(server: RedisServer) -> None:
    first, third, fourth = MemoryStore(), MemoryStore(), MemoryStore()
    await fill_shards(first)
    before = await everything(first)
    async with open_store(server.url) as second:
        await second.claim()
        there = Copying(first, second)
        assert await there.run() == []
        assert await everything(second) == before
        assert there.cursors[await first.head()] == await second.head()
        again = Copying(first, second)
        assert await again.run() == []
        assert again.copied == copying.Copied()
        assert again.cursors[await first.head()] == await second.head()
    async with open_store(server.url, read_only=True) as second:
        back = Copying(second, third)
        assert await back.run() == []
        assert await everything(third) == before
        assert back.cursors[await second.head()] == await third.head()
        assert await Copying(third, fourth).run() == []
        assert await everything(fourth) == before


async def test_a_cursor_of_a_reader_in_the_midst_is_told_exactly_or_not_at_all(server: RedisServer) -> None:
    first, source = MemoryStore(), open_store(server.url)
    await fill_shards(first)
    async with source as second:
        await second.claim()
        await Copying(first, second).run()
        for cursor, _ in (await second.events(limit=1000))[::6]:
            third = MemoryStore()
            found = Copying(second, third, [cursor])
            assert await found.run() == []
            if cursor in found.cursors:
                left = [event for _, event in await second.events(cursor, 1000)]
                assert tracks([event for _, event in await third.events(found.cursors[cursor], 1000)]) == tracks(left)


class Torn(Mortal):
    """Dies in the midst of its last transaction: of some shards all of it is written, of the others nothing."""

    async def transact(self, batch: Batch) -> str:
        if not self._left:
            is_written = [self._store.shard(event.symbol) % 2 == 0 for event in batch.events]
            some = [event for event, written in zip(batch.events, is_written, strict=True) if written]
            await self._store.transact(Batch(events=some))
        return await super().transact(batch)


async def test_a_copy_into_redis_that_is_cut_short_anywhere_goes_on(server: RedisServer) -> None:
    first = MemoryStore()
    await fill_shards(first)
    before, torn = await everything(first), 0
    wanted = [cursor for cursor, _ in (await first.events(limit=1000))[::5]]
    for deaths in range(9, 100, 5):
        async with open_store(f"{server.url}?prefix=target-{deaths}") as second:
            await second.claim()
            try:
                await Copying(first, Torn(second, deaths)).run()
            except asyncio.CancelledError:
                pass
            else:
                break
        async with open_store(f"{server.url}?prefix=target-{deaths}") as second:
            await second.claim()
            resumed = Copying(first, second, wanted)
            torn += bool(await second.events())
            assert await resumed.run() == []
            rows, values, log = await everything(second)
            assert (rows, log) == (before[0], before[2])
            # What was heard is as it was, or nobody can tell, and the state is replayed.
            for series, held in values.items():
                for ours, theirs in zip(held, before[1][series], strict=True):
                    assert ours in (theirs, (*theirs[:-1], None))
            assert resumed.cursors[await first.head()] == await second.head()
            for cursor, translated in resumed.cursors.items():
                heard = [event for _, event in await first.events(cursor, 1000)]
                assert tracks([event for _, event in await second.events(translated, 1000)]) == tracks(heard)
    assert torn > 2


OTHERS = {
    "an event more": [of("CCC-USD", 99)],
    "another event": [replace(of("CCC-USD", 5), candle=row(5, 11.9))],
    "a hole before it": [of("CCC-USD", 5)],
}


@pytest.mark.parametrize("case", OTHERS)
async def test_another_log_is_refused_and_left_as_it_is(server: RedisServer, case: str) -> None:
    first = MemoryStore()
    await fill_shards(first)
    async with open_store(server.url) as second:
        await second.claim()
        await second.transact(Batch(events=[of("BBB-USD", 0), *OTHERS[case]]))
        head = await second.head()
        with pytest.raises(ConfigurationError, match=r"its log .*CCC-USD"):
            await Copying(first, second).run()
        assert await second.head() == head


async def test_indicators_go_on_bit_for_bit_on_a_copy_in_redis_S10(server: RedisServer) -> None:
    """Held against a run that goes on where it was; what has closed since is in both."""
    first = MemoryStore()
    await first.transact(minutes(range(300)))
    assert await lived(first) == []
    async with open_store(server.url) as second:
        await second.claim()
        assert await Copying(first, second).run() == []
        assert [bool(each.cursor) for each in await second.values(MINUTES)] == [True, True]
        for store in (first, second):
            await store.transact(minutes(range(300, 340)))
            assert await lived(store) == []
        assert [stated(each) for each in await second.values(MINUTES)] == [
            stated(each) for each in await first.values(MINUTES)
        ]


def minutes(numbers: range) -> Batch:
    rows = [row(minute, 10.0 + (7 * minute % 19) / 10) for minute in numbers]
    covered = [(60 * numbers.start, 60 * numbers.stop)]
    events = [replace(closed(each.time // 60), candle=each) for each in rows]
    return Batch(changes=[SeriesChange(series=MINUTES, rows=rows, covered=covered)], events=events)


async def lived(store: CandleStore) -> list[str]:
    """Start the indicators on what there is, and end them; those that could not go on from a state."""
    own = {"indicators": {name: {} for name in TYPES}, "indicator_types": TYPES}
    client = MemoryExchange({"AAA-USD": 2.0}, start=0.0, history=0, until=0.0)
    async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
        found.following.symbols = ("AAA-USD",)
        await IndicatorCalculationService(found.context).start()
        return sorted(each["indicator"] for each in found.events("indicators.replayed"))


def stated(value: IndicatorValue) -> Any:
    """A value with what it goes on from, without the number of the run that made it."""
    return replace(value, cursor="", state=(value.state or "").partition('"host":')[2])


# ---- the command ----


DYING = """
import os, signal, sys
from livermore_core.cli.group import run
from livermore_core.store import copying, copying_log
from livermore_redis import store

transact, left = store.RedisStore.transact, 9

async def dying(self, batch):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return await transact(self, batch)

store.RedisStore.transact = dying
copying.ROWS_AT_ONCE = copying_log.EVENTS_AT_ONCE = 4
sys.exit(run(["copy", *sys.argv[1:]]))
"""


async def test_the_command_goes_on_after_a_kill_waits_for_no_holder_and_copies_back(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    there = "sqlite:///there.sqlite"
    async with open_file(there) as first:
        await fill_shards(first)
        before = await everything(first)
    command = [sys.executable, "-c", DYING, there, server.url]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    async with open_store(server.url) as holder:
        await holder.claim(wait=True)
        assert await asyncio.to_thread(run, ["copy", there, server.url]) == 75
    assert "another instance holds this store: pid" in capsys.readouterr().err
    assert await asyncio.to_thread(run, ["copy", there, server.url]) == 0
    assert await asyncio.to_thread(run, ["copy", server.url, f"{server.url}?db=0"]) == 0
    assert "copied 0 candles, 0 hidden ones, 0 events, 0 values of" in capsys.readouterr().out
    assert await asyncio.to_thread(run, ["copy", server.url, "sqlite:///back.sqlite"]) == 0
    async with open_file("sqlite:///back.sqlite") as back:
        assert await everything(back) == before


async def test_a_source_that_any_process_runs_on_is_refused_by_its_pid(
    server: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livermore_core.cli.status.time.time", lambda: 1000.0)
    for role, beat in (("candles", 10.0), ("values", 995.0)):
        async with open_store(server.url) as process:
            await process.claim([role])
            await process.write_status({"state": "LIVE", "pid": 4711, "host": role, "heartbeat_epoch": beat})
    assert await asyncio.to_thread(run, ["copy", server.url, "sqlite:///target.sqlite"]) == 75
    assert "pid 4711 on values is running on it (LIVE); stop it first" in capsys.readouterr().err
