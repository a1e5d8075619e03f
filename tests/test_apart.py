"""Processes apart: what one that computes hears of the one that keeps the candles, and what it makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livermore_indicators import IndicatorCalculationService
from livermore_indicators.averages import SmaOfClose
from msgspec import structs

from livermore_core import Batch, Event, IndicatorValue, LivermoreError, Series, SeriesChange, SeriesHost, StoreError
from livermore_core.apart import LOOK_EVERY, TRIM_EVERY, Elsewhere
from livermore_core.bus import Bus
from livermore_core.services import Services
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual

START = 1_704_270_034.0
QUIET = Series("memory", "CCC-USD", "1m")
ABOUT = {"exchange": "memory", "symbol": "CCC-USD", "timeframe": "1m"}
MARKETS = {"AAA-USD": 2.0, "CCC-USD": 200.0}
OWN = {
    "timeframes": ("1m",),
    "backfill_timeframes": ("1m",),
    "indicators": {"sma": {}},
    "indicator_types": {"sma": "livermore_indicators.averages:SmaOfClose"},
}


@asynccontextmanager
async def two(store: MemoryStore, **own: Any) -> AsyncIterator[tuple[Harness, Harness, list[LivermoreError]]]:
    """One that follows the exchange and is live, and one that has heard of it; what would end that one."""
    client = MemoryExchange(MARKETS, start=START, history=7200, until=START + 3600, seed=7)
    ends: list[LivermoreError] = []
    async with harness(client, store, **OWN, **own) as one, harness(client, store, **OWN, **own) as other:
        await one.live()
        about = {"name": "memory", "symbols": [*MARKETS], "timeframes": ["1m"]}
        await store.write_status({"state": "LIVE", "heartbeat_epoch": time.time(), "exchanges": [about]})
        elsewhere = Elsewhere(store, other.bus, lambda event, fields: None, ends.append)
        context = other.context
        context.exchanges = await elsewhere.exchanges(["memory"])  # type: ignore[assignment]
        await other.start(elsewhere.run, name="elsewhere")
        await IndicatorCalculationService(context).start()
        yield one, other, ends


@pytest.mark.parametrize("empty", ["skip", "carry", "flat"])
def test_what_is_computed_apart_is_what_one_process_would_have_made_buckets_without_trades_included(empty: str) -> None:
    async def lived() -> tuple[dict[int, IndicatorValue], dict[int, IndicatorValue]]:
        store = MemoryStore()
        async with two(store, empty_buckets=empty):
            await asyncio.sleep(1800)
            events = [event for _, event in await store.events(limit=1_000_000) if event.series == QUIET]
            told = {each.time: structs.replace(each.value, revision=0) for each in events if each.value is not None}
            since = next(value.since for value in told.values())
            host = SeriesHost("sma", SmaOfClose, empty=empty)
            until = (await store.coverage(QUIET)).end or 0
            single = {value.time: value for value in host.commit_all(await store.candles(QUIET, since=since), until)}
        return told, single

    told, single = run_virtual(lived())
    assert len(told) > (20 if empty != "skip" else 5)
    assert told == {time: single[time] for time in single if time >= min(told)}


def test_a_bucket_without_trades_that_closes_right_after_the_warm_up_is_heard_of() -> None:
    async def lived() -> tuple[int, int]:
        store = MemoryStore()
        async with two(store, empty_buckets="carry") as (one, _, _):
            await one.stop()
            end = (await store.coverage(QUIET)).end or 0
            await store.transact(Batch(changes=[SeriesChange(series=QUIET, covered=[(end, end + 60)])]))
            await asyncio.sleep(5)
            (value,) = await store.values(QUIET)
        return end, value.time

    end, newest = run_virtual(lived())
    assert newest == end


def test_beyond_a_hole_that_nobody_has_told_of_nothing_is_made_up() -> None:
    async def lived() -> tuple[int, list[int]]:
        store = MemoryStore()
        async with two(store, empty_buckets="carry") as (one, _, _):
            await one.stop()
            end = (await store.coverage(QUIET)).end or 0
            await store.transact(Batch(changes=[SeriesChange(series=QUIET, covered=[(end + 120, end + 180)])]))
            await asyncio.sleep(5)
            hole = [value.time for value in await store.values(QUIET)]
            change = SeriesChange(series=QUIET, covered=[(end, end + 120)])
            event = Event(kind="candles.backfilled", time=end, revision=end, until=end + 120, count=0, **ABOUT)  # type: ignore[arg-type]
            await store.transact(Batch(changes=[change], events=[event]))
            await asyncio.sleep(5)
            return end, [*hole, *(value.time for value in await store.values(QUIET))]

    end, (while_open, filled) = run_virtual(lived())
    assert (while_open, filled) == (end - 60, end + 120)


@pytest.mark.parametrize("holds", [["values"], []])
def test_who_holds_no_candles_is_not_taken_for_the_process_that_follows_the_exchange(holds: list[str]) -> None:
    async def lived() -> list[str]:
        store, found = MemoryStore(), list[str]()
        elsewhere = Elsewhere(store, Bus(), lambda event, fields: None, lambda error: None)
        about = {"name": "memory", "symbols": [*MARKETS], "timeframes": ["1m"]}
        row = {"state": "LIVE", "heartbeat_epoch": time.time(), "exchanges": [about]}
        looking = asyncio.ensure_future(elsewhere.exchanges(["memory"]))
        for service in (looking, None):
            task = service or asyncio.ensure_future(elsewhere.run(lambda: None))
            for holder in (holds, ["candles"]):
                await store.write_status(row | {"holds": holder})
                await asyncio.sleep(2.5 * LOOK_EVERY)
                found.append(elsewhere.trouble.reason)
        task.cancel()
        return found

    assert run_virtual(lived()) == ["ingest.absent", "", "ingest.absent", ""]


def test_what_closed_while_the_listener_was_started_anew_is_handed_on() -> None:
    class Failing(MemoryStore):
        fails = False

        async def events(self, after: str = "", limit: int = 1000, until: str = "") -> list[tuple[str, Event]]:
            if self.fails:
                self.fails = False
                raise StoreError("store.error: an answer that nobody foresaw")
            return await super().events(after, limit, until)

    async def lived() -> list[int]:
        store, bus, heard = Failing(), Bus(), list[int]()
        services = Services(lambda event, fields: None)
        elsewhere = Elsewhere(store, bus, lambda event, fields: None, lambda error: None)
        await services.start("livermore", elsewhere.run, name="elsewhere")
        with bus.subscribe({"candle.closed"}) as announced:
            for minute in range(8):
                store.fails = minute == 3
                await store.transact(Batch(events=[Event(kind="candle.closed", time=60 * minute, **ABOUT)]))  # type: ignore[arg-type]
                await asyncio.sleep(0.2)
            await asyncio.sleep(3.0)
            heard += [event.time // 60 for event in await announced.get()]
        await services.stop()
        return heard

    assert run_virtual(lived()) == list(range(8))


def test_the_other_process_is_looked_at_once_a_second_however_much_is_written() -> None:
    class Counted(MemoryStore):
        looks = 0

        async def read_status(self) -> dict[str, Any] | None:
            self.looks += 1
            return await super().read_status()

    async def lived() -> int:
        store = Counted()
        elsewhere = Elsewhere(store, Bus(), lambda event, fields: None, lambda error: None)
        listening = asyncio.ensure_future(elsewhere.run(lambda: None))
        for minute in range(100):
            await asyncio.sleep(0.03)
            await store.transact(Batch(events=[Event(kind="candle.closed", time=60 * minute, **ABOUT)]))  # type: ignore[arg-type]
        listening.cancel()
        return store.looks

    assert 2 <= run_virtual(lived()) <= 4


def test_the_log_of_values_is_kept_within_its_bounds_by_who_writes_it() -> None:
    class Counted(MemoryStore):
        trims = 0

        async def trim(self, keep: Any, events: int | None = None) -> int:
            self.trims += keep == {}
            return await super().trim(keep, events)

    async def lived() -> int:
        store = Counted()
        elsewhere = Elsewhere(store, Bus(), lambda event, fields: None, lambda error: None)
        trimming = asyncio.ensure_future(elsewhere.trim(lambda: None))
        await asyncio.sleep(2.5 * TRIM_EVERY)
        trimming.cancel()
        return store.trims

    assert run_virtual(lived()) == 2
