"""The kit on virtual time against an exchange in memory: whatever happens, in the end the store equals the truth."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livermore_core import CandleStore, CredentialsError, Series
from livermore_core.exchange.heal import DEEP, LIVE, STEADY
from livermore_core.market.events import BACKFILLED, CLOSED, GAP, HEALED, REVISED, Event
from livermore_core.market.proof import RECHECK_DELAY
from livermore_core.market.timeframe import WIDTHS
from livermore_core.status import Status
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual
from livermore_core.testing.inline_store import inline_store

# Not on any boundary: 2024-01-03 08:20:34 UTC.
START = 1_704_270_034.0
DAY = 86_400.0
MARKETS = {"AAA-USD": 1.5, "BBB-USD": 20.0, "CCC-USD": 90.0, "DDD-USD": 900.0, "EEE-USD": 40_000.0}


def exchange(
    seed: int, hours: float, lag: float = 0.0, markets: dict[str, float] = MARKETS, beat: float = 1.0
) -> MemoryExchange:
    until = START + (hours + 2) * 3600
    return MemoryExchange(markets, start=START, history=4 * DAY, until=until, seed=seed, lag=lag, beat=beat)


def differences(found: Harness, client: MemoryExchange, store_rows: dict[Series, dict[int, tuple[float, ...]]]) -> int:
    """S1, S2: compares every known series with the truth; returns the number of rows compared."""
    compared = 0
    for ledger in found.following.recorder.ledgers():
        series, width = ledger.series, ledger.width
        first = ledger.coverage.start
        assert first is not None, f"nothing is known of {series}"
        last = int((client.now() - 120) // width) * width
        assert ledger.coverage.missing(first, last) == [], f"S2 {series}"
        truth = {row[0]: row[1:] for row in client.truth(series.symbol, series.timeframe, first, last)}
        rows = {time: row for time, row in store_rows[series].items() if first <= time < last}
        assert rows.keys() == truth.keys(), f"S1 {series}"
        for time, row in rows.items():
            assert row[:4] == truth[time][:4], f"S1 {series} {time}"
            assert row[4] == pytest.approx(truth[time][4], rel=1e-9), f"S1 {series} {time}"
        compared += len(rows)
    return compared


async def stored(found: Harness) -> dict[Series, dict[int, tuple[float, ...]]]:
    return {
        ledger.series: {
            row.time: (row.open, row.high, row.low, row.close, row.volume)
            for row in await found.store.candles(ledger.series)
        }
        for ledger in found.following.recorder.ledgers()
    }


async def announced(store: CandleStore) -> list[Event]:
    events: list[Event] = []
    cursor = ""
    while page := await store.events(cursor, 10_000):
        events += [event for _, event in page]
        cursor = page[-1][0]
    return events


def check_order(events: list[Event]) -> None:
    """E2, E3: per series the closes rise, one closed or healed per bucket, revisions rise."""
    newest: dict[Series, int] = {}
    first: set[tuple[Series, int]] = set()
    revisions: dict[tuple[Series, int], int] = {}
    for event in events:
        key = (event.series, event.time)
        if event.kind == CLOSED:
            assert event.time > newest.get(event.series, 0), f"E2 {event}"
            newest[event.series] = event.time
        if event.kind in (CLOSED, HEALED):
            assert key not in first, f"announced twice at revision 0: {event}"
            first.add(key)
        if event.kind == REVISED:
            assert event.revision > revisions.get(key, 0), f"S7 {event}"
            revisions[key] = event.revision


def disturb(chance: random.Random, client: MemoryExchange, symbols: tuple[str, ...]) -> Iterator[float]:
    """One fault after the other; yields how long each lasts before it is taken back."""
    while True:
        symbol = chance.choice(symbols)
        kind = chance.choice(("drop", "cut", "down", "silence"))
        if kind == "drop":
            client.drop(symbol, chance.randint(1, 20))
            yield 0.0
        elif kind == "cut":
            client.cut()
            yield 0.0
        elif kind == "down":
            client.down = True
            client.cut()
            yield chance.uniform(1.0, 600.0)
            client.down = False
        else:
            client.silence(symbol)
            yield chance.uniform(100.0, 400.0)
            client.silence(symbol, False)


async def run(seed: int, hours: float, lag: float, faults: bool) -> tuple[int, list[Event], int]:
    client = exchange(seed, hours, lag)
    chance = random.Random(seed)
    async with harness(client, MemoryStore()) as found:
        await found.live()
        before = len(client.requests)
        storm = disturb(chance, client, found.following.symbols)
        while client.now() < START + hours * 3600:
            await asyncio.sleep(chance.expovariate(1 / 600))
            if faults:
                await asyncio.sleep(next(storm))
        if faults:
            assert found.events("gap.opened")
            next(storm)  # takes the last fault back
            client.down = False
        for symbol in found.following.symbols:
            client.silence(symbol, False)
            client.drop(symbol, 0)
        await asyncio.sleep(400)  # heal_deadline, virtual
        compared = differences(found, client, await stored(found))
        assert found.following.gaps() == []
        return compared, await announced(found.store), len(client.requests) - before


@pytest.mark.parametrize(("seed", "lag"), [(1, 0.0), (2, 40.0)])
def test_a_healthy_market_is_kept_true_and_hardly_asked_about_S1_S9_X3(seed: int, lag: float) -> None:
    compared, events, requests = run_virtual(run(seed, 6.0, lag, faults=False))
    assert compared > 3000
    check_order(events)
    assert not [event for event in events if event.kind in (GAP, REVISED)]
    assert requests < 60


@pytest.mark.parametrize(("seed", "lag"), [(3, 0.0), (4, 40.0), (5, 20.0)])
def test_dropped_frames_cuts_outages_and_mutes_all_heal_H5_S1_S2_E2(seed: int, lag: float) -> None:
    compared, events, _ = run_virtual(run(seed, 6.0, lag, faults=True))
    assert compared > 3000
    check_order(events)
    assert {BACKFILLED, CLOSED, GAP} <= {event.kind for event in events}


def test_the_real_store_on_virtual_time_is_true_and_keeps_what_it_said_S1_S8(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/simulated.sqlite"

    async def first() -> None:
        client = exchange(12, 3.0, 20.0)
        async with inline_store(url) as store, harness(client, store, depth=60) as found:
            await found.live()
            for fault in (client.cut, lambda: client.drop("AAA-USD", 7), client.cut):
                fault()
                await asyncio.sleep(1200)
            assert differences(found, client, await stored(found)) > 500
            check_order(await announced(store))

    async def reopened() -> int:
        async with inline_store(url) as store:
            events = await announced(store)
            for event in events:
                if event.kind in (CLOSED, HEALED):
                    assert await store.candles(event.series, since=event.time, until=event.time + 1), f"E4 {event}"
            return len(events)

    run_virtual(first())
    assert run_virtual(reopened()) > 200


async def two_runs(pause: float) -> tuple[int, int, int]:
    client = exchange(7, 3.0)
    store = MemoryStore()
    async with harness(client, store) as found:
        await found.live()
        await asyncio.sleep(1800)
    before = len(client.requests)
    await asyncio.sleep(pause)
    async with harness(client, store) as found:
        await found.live()
        asked = len(client.requests) - before
        await asyncio.sleep(600)
        compared = differences(found, client, await stored(found))
    check_order(await announced(store))
    return asked, compared, len({(symbol, timeframe) for symbol, timeframe, *_ in client.requests[before:]})


def test_a_restart_asks_only_for_what_is_missing_S11() -> None:
    asked, compared, _ = run_virtual(two_runs(pause=2000.0))
    assert compared > 2000
    # One page of 1m per symbol closes the gap of half an hour; the higher candles follow from it or are a page each.
    assert asked <= 5 * len(MARKETS)


def test_the_backfill_takes_the_newest_candles_H1_I3() -> None:
    async def depth() -> dict[str, list[int]]:
        client = exchange(11, 1.0)
        async with harness(client, MemoryStore(), depth=100) as found:
            await found.following.backfill(found.context)
            times = {}
            for ledger in found.following.recorder.ledgers():
                if ledger.series.symbol == "AAA-USD":
                    times[ledger.series.timeframe] = [row.time for row in await found.store.candles(ledger.series)]
            return times

    times = run_virtual(depth())
    for timeframe in ("5m", "15m"):
        assert len(times[timeframe]) >= 100
        assert START - times[timeframe][-1] < 3 * WIDTHS[timeframe]


def test_a_muted_symbol_of_an_exchange_that_tells_no_last_trade_is_found_out_W06() -> None:
    async def muted() -> tuple[list[int], list[int]]:
        client = exchange(14, 3.0)
        client.last_trade = None  # type: ignore[assignment,method-assign]
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            client.silence("BBB-USD")
            began = int(client.now()) // 60 * 60
            await asyncio.sleep(3600)
            # Still muted: what was asked about last is at most a quarter of an hour old.
            end = int(client.now() - 1000) // 60 * 60
            rows = await found.store.candles(Series("memory", "BBB-USD", "1m"), since=began, until=end)
            return [row.time for row in rows], [row[0] for row in client.truth("BBB-USD", "1m", began, end)]

    held, truth = run_virtual(muted())
    assert held == truth
    assert len(truth) > 30


def test_a_key_that_is_refused_where_the_last_trade_is_asked_for_ends_no_service() -> None:
    class Refusing(MemoryExchange):
        async def last_trade(self, symbol: str) -> Any:
            raise CredentialsError("credentials.insufficient: view is missing")

    async def refused() -> list[str]:
        client = Refusing({"AAA-USD": 1e9}, start=START, history=6 * 3600, until=START + 3600)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(600.0)
            return [trouble.reason for trouble in found.following.troubles().values()]

    assert run_virtual(refused()) == ["credentials.insufficient"]


def test_a_symbol_so_busy_that_its_last_trade_is_always_on_its_way_is_found_muted_W06() -> None:
    async def muted() -> tuple[int, list[tuple[int, int | None]]]:
        client = MemoryExchange({"AAA-USD": 0.5}, start=START, history=6 * 3600, until=START + 3600, seed=15)
        async with harness(client, MemoryStore(), depth=60, timeframes=("1m", "5m")) as found:
            await found.live()
            client.silence("AAA-USD")
            # 90 s without a trade, then 5 s in which the exchange's last one must come, each looked at every 5 s.
            await asyncio.sleep(90 + 5 + 5 + 5)
            gaps = [event for _, event in await found.store.events() if (event.kind, event.timeframe) == (GAP, "1m")]
            return len(found.events("ws.muted")), [(event.time, event.until) for event in gaps]

    minute = int(START) // 60 * 60
    # The minutes that were closed since, one of them as empty, are taken back as one.
    assert run_virtual(muted()) == (1, [(minute, minute + 120)])


def test_that_no_trade_came_does_not_take_back_what_rest_has_told_W06_S1() -> None:
    async def closed_twice() -> tuple[int, int]:
        client = exchange(11, 1.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            client.silence("AAA-USD")
            await asyncio.sleep(70)
            minute = int(client.now()) // 60 * 60 - 60
            series = Series("memory", "AAA-USD", "1m")
            told = await found.following.healer.fetch(series, minute, minute + 60, priority=(LIVE,), live=True)
            await found.following.recorder.close("AAA-USD", minute, None)
            revised = [event for _, event in await found.store.events() if event.kind == REVISED]
            return len(told.rows), len(revised)

    # The minute was closed as empty before: REST told otherwise, and that is all.
    assert run_virtual(closed_twice()) == (1, 1)


@pytest.mark.parametrize("mean", [0.5, 5.0])
def test_a_busy_symbol_whose_last_trade_is_always_young_is_found_muted_at_once_W09_H4(mean: float) -> None:
    async def muted() -> list[tuple[float, str, str]]:
        client = exchange(15, 0.2, markets={"AAA-USD": mean, "DDD-USD": 900.0}, beat=0.25)
        async with harness(client, MemoryStore(), depth=20, timeframes=("1m", "5m")) as found:
            await found.live()
            client.silence("AAA-USD")
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(115.0)
            assert found.following.troubles()["memory.AAA-USD"].reason == "ws.muted"
            client.silence("AAA-USD", False)
            await asyncio.sleep(240.0)
            assert found.following.troubles() == {}
            words = [
                (at - began, event, fields) for at, event, fields in found.said if fields.get("symbol") == "AAA-USD"
            ]
            return [(at, event, fields["reason"]) for at, event, fields in words if event.startswith("ws.")]

    begun, ended = run_virtual(muted())
    assert begun[1:] == ("ws.muted", "ws.muted")
    assert 85.0 < begun[0] < 105.0
    assert ended[1:] == ("ws.heard", "ws.muted")


def test_a_timeframe_without_history_begins_with_the_bucket_that_is_open_S1() -> None:
    async def live_alone() -> tuple[int, set[str]]:
        client = exchange(13, 10.0)
        frames = {"timeframes": ("1m", "5m", "15m", "1h", "4h"), "backfill_timeframes": ("5m",)}
        async with harness(client, MemoryStore(), depth=60, **frames) as found:
            await found.live()
            await asyncio.sleep(9 * 3600)
            rows = await stored(found)
            return differences(found, client, rows), {series.timeframe for series, held in rows.items() if held}

    compared, timeframes = run_virtual(live_alone())
    assert compared > 2000
    assert {"1m", "5m", "15m", "1h", "4h"} <= timeframes


def test_nothing_is_asked_for_twice_and_a_second_backfill_asks_for_nothing_S11() -> None:
    """The last 5m bucket ended 34 s ago: of a thin market its absence proves nothing yet."""

    async def twice() -> tuple[list[tuple[str, str, int, int]], int]:
        client, store = exchange(15, 1.0, markets={"AAA-USD": 1.5, "DDD-USD": 9000.0}), MemoryStore()
        asked = []
        for _ in range(2):
            before = len(client.requests)
            async with harness(client, store, depth=20) as found:
                await found.following.backfill(found.context)
                asked.append(client.requests[before:])
        return asked[0], len(asked[1])

    first, second = run_virtual(twice())
    assert len(first) == len(set(first)) > 10
    assert second == 0


class Held(MemoryExchange):
    """An exchange whose time can be held: no trade comes, and no second passes."""

    held = 0.0

    def now(self) -> float:
        return self.held or super().now()


def test_a_restart_while_nothing_happens_changes_and_announces_nothing_S11(tmp_path: Path) -> None:
    async def both() -> list[object]:
        client = Held(MARKETS, start=START, history=4 * DAY, until=START + 7200, seed=12)
        ends: list[object] = []
        async with inline_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
            for _ in range(2):
                async with harness(client, store) as found:
                    await found.live()
                    await asyncio.sleep(0.0 if client.held else 900.0 - client.now() % 60 + 45.0)
                    client.held = client.now()
                    await asyncio.sleep(100.0)
                    series = [ledger.series for ledger in found.following.recorder.ledgers()]
                    rows = {each: await store.candles(each) for each in series}
                    known = {each: list(await store.coverage(each)) for each in series}
                    ends.append((rows, known, await announced(store)))
        assert sum(len(each) for each in rows.values()) > 3_000
        return ends

    first, second = run_virtual(both())
    assert first == second


def test_an_exchange_that_is_down_at_the_start_is_waited_for_R05() -> None:
    async def late() -> list[str]:
        client = exchange(11, 1.0)
        client.down = True
        asyncio.get_running_loop().call_later(3600, setattr, client, "down", False)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(STEADY)
            return [event for _, event, _ in found.said]

    said = run_virtual(late())
    assert said.count("exchange.available") == 1
    assert said.index("exchange.unavailable") < said.index("backfill.started") < said.index("feed.connected")
    # G3: an hour of outage is one line and a reminder a minute.
    assert said.count("exchange.unavailable") <= 61


def test_one_failing_symbol_stops_nobody_else_R30() -> None:
    async def partly() -> tuple[dict[str, str], set[str]]:
        client = exchange(11, 1.0)
        client.fail("CCC-USD")
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.following.backfill(found.context)
            rows = await stored(found)
            return found.following.incomplete, {series.symbol for series, held in rows.items() if held}

    incomplete, filled = run_virtual(partly())
    assert {series.split(":")[1] for series in incomplete} == {"CCC-USD"}
    assert {"AAA-USD", "BBB-USD", "DDD-USD"} <= filled


def test_a_symbol_that_fails_in_the_backfill_is_named_in_the_state_until_it_is_complete_R30() -> None:
    async def told() -> list[tuple[str, dict[str, str]]]:
        client = exchange(11, 1.0)
        client.fail("CCC-USD")
        async with harness(client, MemoryStore(), depth=60) as found:
            status = Status(lambda: {}, lambda event, fields: None)
            status.exchanges = {"memory": found.following}
            await found.live()
            status.change(is_ready=True)
            states = [(status.state(), status.reasons())]
            client.fail("CCC-USD", False)
            await asyncio.sleep(300.0)
            states.append((status.state(), status.reasons()))
            assert len(await found.store.candles(Series("memory", "CCC-USD", "5m"))) >= 60
            return states

    (failing, reasons), healed = run_virtual(told())
    assert failing == "DEGRADED"
    assert reasons["memory.backfill"] == "backfill.incomplete: CCC-USD"
    assert "memory.feed" not in reasons
    assert healed == ("LIVE", {})


def test_a_run_that_was_not_asked_to_ingest_lacks_no_feed() -> None:
    async def told() -> tuple[str, dict[str, str]]:
        async with harness(exchange(11, 1.0), MemoryStore(), depth=20) as found:
            status = Status(lambda: {}, lambda event, fields: None)
            status.exchanges = {"memory": found.following}
            await found.following.backfill(found.context)
            status.change(is_ready=True)
            return status.state(), status.reasons()

    assert run_virtual(told()) == ("LIVE", {})


def test_a_want_that_joins_another_keeps_the_later_moment_and_the_higher_priority() -> None:
    async def joined() -> tuple[list[tuple[int, int, int, float]], str | None]:
        client = exchange(11, 1.0)
        async with harness(client, MemoryStore()) as found:
            healer = found.following.healer
            await found.following.recorder.load(["AAA-USD"])
            found.following.clock.observe(client.now())
            bucket = int(client.now()) // 60 * 60
            series = Series("memory", "AAA-USD", "1m")
            healer.want(series, bucket - 60, bucket, "test", after=bucket, priority=DEEP)
            healer.want(series, bucket, bucket + 60, "test", after=bucket + 60, priority=LIVE)
            (listed,) = found.following.gaps()
            return [(w.start - bucket, w.end - bucket, w.priority, w.after - bucket) for w in healer.wants], listed[
                "next_attempt"
            ]

    wants, next_attempt = run_virtual(joined())
    assert wants == [(-60, 60, LIVE, 60 + RECHECK_DELAY)]
    assert next_attempt == "2024-01-03T08:21:10Z"


def test_gaps_tell_when_a_failed_request_is_tried_again() -> None:
    async def failing() -> list[str | None]:
        client = exchange(11, 1.0)
        async with harness(client, MemoryStore()) as found:
            await found.live()
            client.fail("AAA-USD")
            client.drop("AAA-USD", 3)
            await asyncio.sleep(600)
            return [gap["next_attempt"] for gap in found.following.gaps() if gap["attempts"]]

    moments = run_virtual(failing())
    assert moments
    assert all(moment is not None for moment in moments)
