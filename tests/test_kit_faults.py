"""Faults of the feed, the store and the configuration on virtual time: what is true of each when it has passed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

from livermore_core import (
    Batch,
    Candle,
    Heartbeat,
    Message,
    Page,
    PermanentError,
    Product,
    RateLimitedError,
    Series,
    StoreError,
    Subscribed,
    Trade,
    TransientError,
    UnknownSymbolError,
)
from livermore_core.exchange.backlog import MOST_MINUTES
from livermore_core.market.events import CLOSED, Event
from livermore_core.market.timeframe import WIDTHS
from livermore_core.services import Services
from livermore_core.testing import Fault, Harness, MemoryExchange, MemoryStore, harness, run_virtual
from livermore_core.testing.faulty_exchange import FaultyExchange

# Not on any boundary: 2024-01-03 08:20:34 UTC.
START = 1_704_270_034.0
HOUR = 3600.0
FRAMES = ("1m", "5m", "15m")
MARKETS = {"AAA-USD": 2.0, "BBB-USD": 30.0, "EEE-USD": 40_000.0}


def exchange(
    hours: float,
    kind: type[MemoryExchange] = MemoryExchange,
    start: float = START,
    markets: dict[str, float] = MARKETS,
    beat: float = 1.0,
) -> Any:
    return kind(markets, start=start, history=12 * HOUR, until=start + (hours + 1) * HOUR, seed=3, beat=beat)


def following(client: Any, store: Any, **more: Any) -> Any:
    return harness(client, store, **{"timeframes": FRAMES, "backfill_timeframes": ("5m", "15m"), "depth": 20, **more})


async def compared(found: Harness, client: MemoryExchange, since: float) -> int:
    """The rows since then of every series, each equal to the truth, with nothing unknown."""
    count = 0
    for ledger in found.following.recorder.ledgers():
        series, width = ledger.series, ledger.width
        start, end = (int(moment // width) * width for moment in (since, client.now() - 120.0))
        assert ledger.unknown(start, end) == [], series
        rows = await found.store.candles(series, since=start, until=end)
        truth = client.truth(series.symbol, series.timeframe, start, end)
        assert [(row.time, row.open, row.high, row.low, row.close) for row in rows] == [row[:5] for row in truth]
        assert [row.volume for row in rows] == pytest.approx([row[5] for row in truth], rel=1e-9)
        count += len(rows)
    return count


def test_an_hour_of_flapping_is_not_answered_by_a_storm_of_connections_W11_W13() -> None:
    async def flapping() -> tuple[list[float], int]:
        client = exchange(2.0, FaultyExchange)
        async with following(client, MemoryStore()) as found:
            await found.live()
            flap = Fault(at=0.0, kind="ws.flap", lasts=HOUR)
            client.begin(flap)
            client.cut()
            before = len(client.connected_at)
            await asyncio.sleep(HOUR)
            tried = client.connected_at[before:]
            client.end(flap)
            await asyncio.sleep(400.0)
            return tried, await compared(found, client, START)

    tried, rows = run_virtual(flapping())
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert len(tried) <= 140  # full jitter of a minute: half a minute on average
    assert max(pauses) <= 61.0
    # No two pauses are alike: many clients that lost one exchange do not come back together.
    assert len({round(pause, 3) for pause in pauses}) > 0.9 * len(pauses)
    assert max(pauses[-20:]) - min(pauses[-20:]) > 20.0
    assert rows > 100


@pytest.mark.parametrize(("asked", "least"), [(45.0, 45.0), (1e9, 300.0), (0.0, 1.0), (None, 1.0)])
def test_an_upgrade_refused_for_pace_is_tried_again_when_that_is_allowed_W04(asked: float | None, least: float) -> None:
    class Refusing(FaultyExchange):
        async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
            if len(self.connected_at) in (1, 2):  # the second and the third one
                self.connected_at.append(asyncio.get_running_loop().time())
                raise RateLimitedError("ws.refused: 429", retry_after=asked)
            async for message in super().feed(symbols):
                yield message

    async def refused() -> list[float]:
        client = exchange(1.0, Refusing)
        async with following(client, MemoryStore()) as found:
            await found.live()
            client.cut()
            await asyncio.sleep(700.0)
            assert found.following.is_live()
            return client.connected_at

    _, second, third, fourth = run_virtual(refused())
    assert least <= third - second <= least + 3.0
    assert least <= fourth - third <= least + 5.0


def test_connections_that_fail_at_once_are_no_more_than_8_a_second_W04(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing() -> list[float]:
        client = exchange(1.0, FaultyExchange)
        async with following(client, MemoryStore()) as found:
            await found.live()
            monkeypatch.setattr(random, "uniform", lambda low, high: low)
            client.begin(Fault(at=0.0, kind="ws.refuse", lasts=60.0))
            client.cut()
            await asyncio.sleep(10.0)
            return client.connected_at

    moments = run_virtual(failing())
    assert len(moments) > 20
    assert all(later - earlier >= 1.0 for earlier, later in zip(moments, moments[8:], strict=False))


def test_a_late_trade_has_the_exchange_asked_about_its_own_minute_W24() -> None:
    async def late() -> tuple[list[tuple[int, int]], int, int]:
        client = exchange(1.0)
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(600.0)
            feed = found.following.feed
            assert feed is not None
            moment, before = client.now() - 150.0, len(client.requests)
            feed.take(Trade("EEE-USD", feed.tapes["EEE-USD"].last_id + 1, 5.0, 1.0, moment), lambda: None)
            await asyncio.sleep(120.0)
            asked = [
                (start, end)
                for symbol, timeframe, start, end in client.requests[before:]
                if (symbol, timeframe) == ("EEE-USD", "1m")
            ]
            return asked, int(moment // 60) * 60, await compared(found, client, START)

    asked, minute, rows = run_virtual(late())
    assert any(start <= minute < end for start, end in asked)
    assert rows > 0  # and what the exchange says is what stands


def test_nothing_is_derived_from_a_minute_that_is_unknown_W39() -> None:
    """Two minutes of one 5m bucket are lost while REST is down; then one of them becomes known."""

    async def derived() -> tuple[list[bool], int]:
        client = exchange(1.0, markets={"AAA-USD": 2.0, "CCC-USD": 3.0})
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(330.0 - client.now() % 300.0)
            bucket, recorder = int(client.now() // 300) * 300, found.following.recorder
            client.down = True  # the stream goes on
            for _ in range(2):
                client.drop("AAA-USD", 3)
                await asyncio.sleep(65.0)
            await asyncio.sleep(900.0)
            minutes, ours = recorder.ledger("AAA-USD", "1m"), recorder.ledger("AAA-USD", "5m")
            known = [recorder.ledger("CCC-USD", "5m").coverage.covers(bucket, bucket + 300)]
            while missing := minutes.unknown(bucket, bucket + 300):
                known.append(ours.coverage.covers(bucket, bucket + 300))
                start = missing[0][0]
                rows = [Candle(*row) for row in client.truth("AAA-USD", "1m", start, start + 60)]
                await recorder.learn(minutes.series, [(start, start + 60)], rows, live=True)
            known.append(ours.coverage.covers(bucket, bucket + 300))
            client.down = False
            await asyncio.sleep(400.0)
            return known, await compared(found, client, START)

    (is_other_derived, *known), rows = run_virtual(derived())
    assert is_other_derived
    assert len(known) > 2
    assert known == [False] * (len(known) - 1) + [True]
    assert rows > 50


class HeldStore(MemoryStore):
    """A store whose writes wait for as long as `gate` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def transact(self, batch: Batch) -> str:
        await self.gate.wait()
        return await super().transact(batch)


def test_a_store_that_takes_minutes_holds_up_neither_the_feed_nor_the_truth_W35_D16_E4() -> None:
    async def held() -> tuple[int, int, int, int, int]:
        client, store = exchange(1.0, beat=0.25), HeldStore()
        async with following(client, store) as found:
            with found.context.subscribe({CLOSED}) as heard:
                await found.live()
                await asyncio.sleep(120.0)
                feed = found.following.feed
                assert feed is not None
                store.gate.clear()
                await asyncio.sleep(1.0)
                await heard.get()
                frames = feed.frames
                await asyncio.sleep(300.0)
                taken, waiting, heard_meanwhile = feed.frames - frames, feed.backlog.minutes, len(heard._queue)
                store.gate.set()
                await asyncio.sleep(200.0)
                return taken, waiting, heard_meanwhile, client.connections, await compared(found, client, START)

    taken, waiting, heard_meanwhile, connections, rows = run_virtual(held())
    assert taken > 1000
    assert 5 <= waiting <= 6
    assert heard_meanwhile == 0
    assert connections == 1
    assert rows > 12


def test_a_store_that_hangs_for_hours_costs_neither_memory_nor_truth_W35() -> None:
    """What queues is bounded; what is shed is said, asked of REST, and there in the end."""

    async def hung() -> tuple[int, int, int, list[str], int, int]:
        client, store = exchange(4.0), HeldStore()
        async with following(client, store) as found:
            await found.live()
            await asyncio.sleep(120.0)
            feed, healer = found.following.feed, found.following.healer
            assert feed is not None
            store.gate.clear()
            before = len(client.requests)
            await asyncio.sleep(3 * HOUR)
            waiting, queued = feed.backlog.minutes, feed.backlog._jobs.qsize()
            asked, wants = len(client.requests) - before, len(healer.wants) + len(healer.serving)
            store.gate.set()
            await asyncio.sleep(400.0)
            said = [event for _, event, _ in found.said if event in ("ws.lagging", "ws.caught_up")]
            assert found.following.gaps() == []
            return waiting, queued, asked + wants, said, client.connections, await compared(found, client, START)

    waiting, queued, asked, said, connections, rows = run_virtual(hung())
    assert waiting == MOST_MINUTES
    assert queued <= MOST_MINUTES + 2
    assert asked <= 100
    assert said[0] == "ws.lagging"
    assert said.count("ws.lagging") <= 3 * 60
    assert said.count("ws.caught_up") == 1
    assert said[-1] == "ws.caught_up"
    assert connections == 1
    assert rows > 300


def test_a_connection_that_begins_in_the_far_future_is_not_believed_T09() -> None:
    class Future(FaultyExchange):
        async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
            async for message in super().feed(symbols):
                is_wrong = self.connections in (2, 3) and isinstance(message, Heartbeat)
                yield Heartbeat(6_000_000_000.0) if is_wrong else message

    async def future() -> tuple[int, int]:
        client = exchange(2.0, Future)
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(300.0)
            client.cut()
            await asyncio.sleep(600.0)
            assert found.following.clock.now <= client.now()
            assert found.following.is_live()
            return client.connections, await compared(found, client, START)

    connections, rows = run_virtual(future())
    assert connections == 4
    assert rows > 20


def test_after_days_of_silence_the_exchange_is_believed_again_T04() -> None:
    async def slept() -> tuple[float, int]:
        client = exchange(60.0, FaultyExchange)
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(300.0)
            client.begin(Fault(at=0.0, kind="clock.suspend", amount=50 * HOUR))
            await asyncio.sleep(240.0)
            assert found.following.is_live()
            late = client.now() - found.following.clock.now
            await asyncio.sleep(400.0)
            return late, await compared(found, client, client.now() - HOUR)

    late, rows = run_virtual(slept())
    assert late < 5.0
    assert rows > 60


def test_a_client_that_dies_of_something_unforeseen_is_live_again_P09() -> None:
    class Dying(MemoryExchange):
        async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
            async for message in super().feed(symbols):
                yield message
                if self.connections == 1 and self.now() > START + 300.0:
                    raise ValueError("a defect of the plugin")

    async def died() -> tuple[list[str], bool]:
        client = exchange(1.0, Dying)
        services = Services(lambda event, fields: None)
        found = Harness(client, MemoryStore(), timeframes=FRAMES, backfill_timeframes=("5m", "15m"), depth=20)
        found.start = partial(services.start, "memory")  # type: ignore[method-assign]
        await found.live()
        await asyncio.sleep(310.0)
        is_live = found.following.is_live()
        await services.stop()
        return [event for _, event, _ in found.said if event == "feed.connected"], is_live

    assert run_virtual(died()) == (["feed.connected"] * 2, True)


def test_midnight_of_thirty_symbols_is_paced_and_keeps_its_order_R03_T06() -> None:
    midnight = 1_704_326_400.0
    frames = ("1m", "5m", "15m", "1h", "4h", "1d")

    async def night() -> tuple[list[float], list[Event], int]:
        markets = {f"S{number:02}-USD": 60.0 for number in range(30)}
        client = exchange(0.5, FaultyExchange, midnight - 600.0, markets)
        store = MemoryStore()
        async with following(client, store, timeframes=frames) as found:
            await found.live()
            await asyncio.sleep(midnight + 300.0 - client.now())
            events = [event for _, event in await store.events(limit=1_000_000)]
            return client.asked, events, await compared(found, client, midnight - 600.0)

    asked, events, rows = run_virtual(night())
    for position, moment in enumerate(asked):
        assert sum(moment <= other < moment + 1.0 for other in asked[position : position + 20]) <= 10
    assert rows > 300
    ends: dict[str, list[int]] = {}
    for event in events:
        end = event.time + WIDTHS[event.timeframe]
        if event.kind == CLOSED and end == midnight:
            ends.setdefault(event.symbol, []).append(WIDTHS[event.timeframe])
    assert len(ends) > 10
    assert all(widths == sorted(widths) for widths in ends.values())
    newest: dict[Series, int] = {}
    for event in events:
        if event.kind == CLOSED:
            assert event.time > newest.get(event.series, 0)
            newest[event.series] = event.time


def test_what_is_followed_may_change_between_two_runs_C14() -> None:
    async def twice() -> tuple[bool, int, int, int]:
        client, store = exchange(2.0), MemoryStore()
        async with following(client, store, symbols=("AAA-USD", "BBB-USD")) as found:
            await found.live()
            await asyncio.sleep(300.0)
        left = Series("memory", "AAA-USD", "5m")
        kept, log = len(await store.candles(left)), len(await store.events(limit=1_000_000))
        before = len(client.requests)
        new = {"symbols": ("BBB-USD", "EEE-USD"), "timeframes": (*FRAMES, "1h"), "backfill_timeframes": ("5m", "1h")}
        async with following(client, store, **new) as found:
            await found.following.backfill(found.context)
            ledger = found.following.recorder.ledger("BBB-USD", "1h")
            is_there = not ledger.unknown(int(client.now() // 3600 - 6) * 3600, int(client.now() // 3600) * 3600)
            await found.following.ingest(found.context)
            await asyncio.sleep(600.0)
            rows = await compared(found, client, client.now() - 900.0)
        asked = [request for request in client.requests[before:] if request[0] == "AAA-USD"]
        said = [event for _, event in (await store.events(limit=1_000_000))[log:] if event.symbol == "AAA-USD"]
        return is_there, len(await store.candles(left)) - kept, len(asked) + len(said), rows

    is_there, change, heard, rows = run_virtual(twice())
    assert is_there
    assert (change, heard) == (0, 0)
    assert rows > 10


@pytest.mark.parametrize("error", [TransientError("503"), PermanentError("400"), UnknownSymbolError("404")])
def test_one_symbol_that_fails_for_good_holds_up_no_seam_R24_R30(error: Exception) -> None:
    class Failing(MemoryExchange):
        async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
            if symbol == "BBB-USD" and self.connections:  # only once it is live that the symbol fails
                raise error
            return await super().candles(symbol, timeframe, start, end)

    async def started() -> tuple[float, int]:
        client = exchange(1.0, Failing)
        async with following(client, MemoryStore()) as found:
            began = asyncio.get_running_loop().time()
            await found.live()
            took = asyncio.get_running_loop().time() - began
            assert any(gap["symbol"] == "BBB-USD" for gap in found.following.gaps())
            since = client.now()
            await asyncio.sleep(600.0)
            ledger = found.following.recorder.ledger("AAA-USD", "1m")
            return took, len(await found.store.candles(ledger.series, since=int(since)))

    took, closed = run_virtual(started())
    assert took < 60.0
    assert closed >= 8


def test_a_symbol_that_is_halted_or_retired_is_shown_so_and_no_reason_to_worry_R24_W37() -> None:
    class Halting(MemoryExchange):
        said: Mapping[str, Product | None] = MappingProxyType({})

        async def products(self) -> list[Product]:
            found = [self.said.get(product.symbol, product) for product in await super().products()]
            return [product for product in found if product is not None]

    async def halted() -> tuple[list[dict[str, str]], list[tuple[str, str]], set[str], int]:
        client = exchange(4.0, Halting)
        async with following(client, MemoryStore()) as found:
            await found.live()
            states = []
            halt = Product(symbol="BBB-USD", tradable=False, halted="cancel_only")
            for said in ({}, {"BBB-USD": halt, "EEE-USD": None}, {"EEE-USD": None}):
                client.said = said
                await asyncio.sleep(HOUR + 10.0)
                states.append(found.following.status()["halted_symbols"])
                assert found.following.shortcomings() == {}
            words = [(event, fields["symbol"]) for _, event, fields in found.said if event.startswith("symbol.")]
            return states, words, set(found.following.symbols), client.connections

    states, words, symbols, connections = run_virtual(halted())
    retired = {"EEE-USD": "RETIRED: not offered any more"}
    assert states == [{}, {"BBB-USD": "HALTED: cancel_only", **retired}, retired]
    assert words == [("symbol.halted", "BBB-USD"), ("symbol.halted", "EEE-USD"), ("symbol.trading", "BBB-USD")]
    assert symbols == set(MARKETS)
    assert connections == 1


def test_a_retraction_that_the_store_refuses_is_still_asked_about_D01() -> None:
    class Refusing(MemoryStore):
        refuses = False

        async def transact(self, batch: Batch) -> str:
            if self.refuses:
                raise StoreError("SQLITE_FULL")
            return await super().transact(batch)

    async def doubted() -> int:
        client, store = exchange(1.0), Refusing()
        async with following(client, store) as found:
            await found.live()
            await asyncio.sleep(200.0)
            feed, series = found.following.feed, Series("memory", "EEE-USD", "1m")
            assert feed is not None
            assert feed.tapes["EEE-USD"].unconfirmed
            before = [asked for asked in client.requests if asked[:2] == series[1:]]
            store.refuses = True
            feed.doubt("EEE-USD", "test")
            await asyncio.sleep(20.0)
            store.refuses = False
            await asyncio.sleep(200.0)
            assert found.following.gaps() == []
            return len([asked for asked in client.requests if asked[:2] == series[1:]]) - len(before)

    assert run_virtual(doubted()) >= 1


def test_a_lost_connection_does_not_become_ready_afterwards_H3() -> None:
    """Acknowledged in part, twice, and then cut: no timer of it may speak for the time without a connection."""

    class Partial(MemoryExchange):
        async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
            self.connections += 1
            if self.connections > 1:
                raise TransientError("net.unreachable")
            yield Heartbeat(self.now())
            yield Subscribed(frozenset(["AAA-USD"]))
            await asyncio.sleep(1.0)
            yield Subscribed(frozenset(["BBB-USD"]))
            await asyncio.sleep(8.8)
            raise TransientError("ws.closed 1006")

    async def told() -> list[str]:
        async with following(exchange(1.0, Partial), MemoryStore()) as found:
            await found.following.backfill(found.context)
            ingest = asyncio.ensure_future(found.following.ingest(found.context))
            await asyncio.sleep(60.0)
            ingest.cancel()
            await asyncio.wait([ingest])
            return [event for _, event, _ in found.said if event.startswith("feed.")]

    assert "feed.connected" not in run_virtual(told())
