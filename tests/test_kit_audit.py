"""The background audit on virtual time: what the exchange changes later is found, at the price that was promised."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from livermore_core import Candle, Series
from livermore_core.exchange.audit import plan
from livermore_core.exchange.heal import AUDIT
from livermore_core.market.events import REVISED
from livermore_core.market.timeframe import WIDTHS
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual

# Not on any boundary: 2024-01-03 08:20:34 UTC.
START = 1_704_270_034.0
HOUR, DAY = 3600, 86_400
FRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")


def exchange(markets: dict[str, float], hours: float, **more: float) -> MemoryExchange:
    until = START + (hours + 2) * HOUR
    return MemoryExchange(markets, **{"start": START, "history": 2 * DAY, "until": until, "beat": 1.0} | more)  # type: ignore[arg-type]


async def present(found: Harness, symbol: str, timeframe: str, start: int, end: int) -> list[tuple[float, ...]]:
    rows = await found.store.candles(Series("memory", symbol, timeframe), since=start, until=end)
    return [(row.time, row.open, row.high, row.low, row.close, row.volume) for row in rows]


async def is_true(
    found: Harness, client: MemoryExchange, symbol: str, since: int, timeframes: tuple[str, ...] = ()
) -> None:
    """Every candle of a symbol since then, of these timeframes or all, is what the exchange says now."""
    for timeframe in timeframes or found.following.timeframes:
        end = int(client.now() - 120) // WIDTHS[timeframe] * WIDTHS[timeframe]
        truth = client.truth(symbol, timeframe, since, end)
        held = await present(found, symbol, timeframe, since, end)
        assert [row[:5] for row in held] == [row[:5] for row in truth], timeframe
        assert [row[5] for row in held] == pytest.approx([row[5] for row in truth], rel=1e-9), timeframe


async def revisions(found: Harness) -> Counter[tuple[str, int, int]]:
    events = [event for _, event in await found.store.events(limit=1_000_000)]
    return Counter((event.timeframe, event.time, event.revision) for event in events if event.kind == REVISED)


def test_turns_are_spread_over_the_hour_and_the_day_X3() -> None:
    symbols = [f"S{number}-USD" for number in range(25)]
    turns = plan("memory", symbols, FRAMES)
    day = int(START) // DAY * DAY
    moments = {turn: [] for turn in turns}
    for turn, seen in moments.items():
        while (moment := turn.after(seen[-1] if seen else day - 1)) < day + DAY:
            seen.append(moment)
    per_timeframe = Counter()
    for turn, seen in moments.items():
        per_timeframe[turn.series.timeframe] += len(seen)
    assert per_timeframe == {"1m": 25 * 24, "5m": 25, "4h": 25 * 6, "1d": 25}
    minutes = sorted(moment for turn, seen in moments.items() if turn.series.timeframe == "1m" for moment in seen)
    assert {later - earlier for earlier, later in pairwise(minutes)} == {HOUR // 25}
    assert {moment % HOUR for turn, seen in moments.items() if turn.every == 4 * HOUR for moment in seen} == {90}


def test_a_turn_that_is_taken_late_delays_no_later_one_T11() -> None:
    for turn in plan("memory", ["AAA-USD"], FRAMES):
        first = moment = turn.after(int(START) // DAY * DAY)
        for count in range(1, 30 * DAY // turn.every):
            moment = turn.after(moment + count % 50)
            assert moment == first + count * turn.every


@pytest.mark.parametrize("factor", [3.0, 0.0])
def test_what_the_exchange_changes_later_is_revised_once_and_all_that_follows_from_it_R17_SD04(factor: float) -> None:
    async def revised() -> None:
        client = exchange({"AAA-USD": 20.0, "BBB-USD": 30.0}, 3.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(1200)
            bucket = int(client.now()) // 60 * 60 - 600
            assert await present(found, "AAA-USD", "1m", bucket, bucket + 60)
            client.revise("AAA-USD", bucket, bucket + 60, factor)
            await asyncio.sleep(HOUR + 300)
            assert bool(await present(found, "AAA-USD", "1m", bucket, bucket + 60)) == bool(factor)
            ledger = found.following.recorder.ledger("AAA-USD", "1m")
            assert ledger.coverage.covers(bucket, bucket + 60)
            await is_true(found, client, "AAA-USD", bucket // HOUR * HOUR)
            counts = await revisions(found)
            assert counts["1m", bucket, 1] == 1
            assert counts == {(timeframe, bucket // width * width, 1): 1 for timeframe, width in
                              (("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3600))}  # fmt: skip
            status = found.following.status()
            assert (status["revised"], status["native_differences"], status["gaps"]) == (4, 0, [])
            assert not found.events("gap.healed")

    run_virtual(revised())


class Yielding(MemoryStore):
    """A store whose answers take their time, as those of a real one do."""

    async def candles(self, *args: Any, **more: Any) -> list[Candle]:
        await asyncio.sleep(0.001)
        return await super().candles(*args, **more)


def test_what_a_long_revision_touches_is_one_page_and_no_history_is_added_by_it_R17() -> None:
    async def revised() -> None:
        client = exchange({"AAA-USD": 120.0}, 8.0)
        frames = {"timeframes": ("1m", "5m", "15m"), "backfill_timeframes": ("5m", "15m")}
        async with harness(client, Yielding(), depth=60, **frames) as found:
            await found.live()
            began = found.following.recorder.ledger("AAA-USD", "15m").coverage.start
            assert began is not None
            assert found.following.recorder.ledger("AAA-USD", "5m").coverage.start < began - 4 * HOUR
            client.revise("AAA-USD", began - 4 * HOUR, began + 4 * HOUR, 3.0)
            del client.requests[:]
            # The audit of 5m has its turn at noon, and reaches 25 hours back.
            await asyncio.sleep(4 * HOUR)
            await is_true(found, client, "AAA-USD", began, ("5m", "15m"))
            for ledger in found.following.recorder.ledgers():
                assert len(list(ledger.coverage)) == 1, ledger.series
            assert found.following.recorder.ledger("AAA-USD", "15m").coverage.start == began
            assert sum(start < START - HOUR for _, timeframe, start, _ in client.requests if timeframe == "15m") == 1

    run_virtual(revised())


def test_changes_that_are_found_together_are_one_revision_of_what_holds_them_R17_E5() -> None:
    async def revised() -> Counter[tuple[str, int, int]]:
        client = exchange({"AAA-USD": 20.0}, 3.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(2400)
            quarter = int(client.now()) // 900 * 900 - 900
            for minute in (quarter + 60, quarter + 360, quarter + 720):
                client.revise("AAA-USD", minute, minute + 60, 3.0)
            await asyncio.sleep(HOUR + 300)
            await is_true(found, client, "AAA-USD", quarter // HOUR * HOUR)
            return Counter({key: count for key, count in (await revisions(found)).items() if key[0] in ("15m", "1h")})

    assert sorted((timeframe, revision) for timeframe, _, revision in run_virtual(revised()).elements()) == [
        ("15m", 1),
        ("1h", 1),
    ]


class Unsummed(MemoryExchange):
    """Rows of one timeframe are not what their parts add up to."""

    timeframe = "4h"

    async def candles(self, symbol: str, timeframe: str, start: int, end: int):  # type: ignore[no-untyped-def]
        page = await super().candles(symbol, timeframe, start, end)
        if timeframe != self.timeframe:
            return page
        rows = [Candle(row.time, row.open, row.high, row.low, row.close, row.volume * 1.5) for row in page.rows]
        return type(page)(rows=rows, moment=page.moment)


def test_a_native_candle_unlike_its_parts_changes_itself_alone_and_is_counted() -> None:
    async def unsummed() -> None:
        client = Unsummed({"AAA-USD": 20.0}, start=START, history=DAY, until=START + 6 * HOUR, beat=1.0)
        frames = {"timeframes": ("1m", "5m", "4h"), "backfill_timeframes": ("5m",)}
        async with harness(client, MemoryStore(), depth=60, **frames) as found:
            await found.live()
            noon = int(START) // (4 * HOUR) * 4 * HOUR + 4 * HOUR
            await asyncio.sleep(noon + 80 - client.now())
            (derived,) = await found.store.candles(Series("memory", "AAA-USD", "4h"))
            await asyncio.sleep(30)
            (native,) = await found.store.candles(Series("memory", "AAA-USD", "4h"))
            assert (derived.source, native.source, native.revision) == ("derived", "rest", 1)
            assert native.volume == pytest.approx(derived.volume * 1.5)
            assert found.following.status()["native_differences"] == 1
            await asyncio.sleep(HOUR)
            assert await revisions(found) == {("4h", noon - 4 * HOUR, 1): 1}

    run_virtual(unsummed())


def test_native_candles_unlike_their_parts_leave_those_above_them_alone_S1() -> None:
    async def unsummed() -> None:
        client = Unsummed({"AAA-USD": 20.0}, start=START, history=DAY, until=START + 6 * HOUR, beat=1.0)
        client.timeframe = "5m"
        frames = {"timeframes": ("1m", "5m", "15m", "1h"), "backfill_timeframes": ("15m", "1h")}
        async with harness(client, MemoryStore(), depth=60, **frames) as found:
            await found.live()
            noon = int(START) // (12 * HOUR) * 12 * HOUR + 12 * HOUR
            await asyncio.sleep(noon + 1800 - client.now())
            assert found.following.status()["native_differences"] > 30
            assert {timeframe for timeframe, *_ in await revisions(found)} == {"5m"}
            await is_true(found, client, "AAA-USD", noon - 2 * HOUR, ("1m", "15m", "1h"))
            await asyncio.sleep(HOUR)
            asked = Counter(client.requests)
            assert max(asked.values()) == 1

    run_virtual(unsummed())


def test_a_change_that_a_wide_candle_shows_first_is_looked_for_in_its_minutes_R17() -> None:
    async def revised() -> None:
        client = exchange({"AAA-USD": 60.0}, 30.0, beat=10.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            midnight = int(START) // DAY * DAY
            await asyncio.sleep(midnight + 20 * HOUR - client.now())
            # Too old for the audit of the minutes by now, and in that of 5m at the next noon.
            bucket = midnight + 13 * HOUR
            client.revise("AAA-USD", bucket, bucket + 300, 3.0)
            await asyncio.sleep(17 * HOUR)
            await is_true(found, client, "AAA-USD", bucket)
            assert {timeframe for timeframe, *_ in await revisions(found)} == {"1m", "5m", "15m", "1h", "4h"}

    run_virtual(revised())


def test_an_audit_while_the_exchange_does_not_answer_loses_nothing_R05() -> None:
    async def outage() -> None:
        client = exchange({"AAA-USD": 20.0}, 7.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(3.5 * HOUR)
            # The first page that is asked for in vain is the last one that reaches back so far.
            bucket = int(START) // HOUR * HOUR + 1500
            client.revise("AAA-USD", bucket, bucket + 60, 2.0)
            client.down = True
            await asyncio.sleep(2.2 * HOUR)
            assert found.following.healer.wants
            client.down = False
            await asyncio.sleep(300)
            await is_true(found, client, "AAA-USD", int(START) // HOUR * HOUR)
            assert (await revisions(found))["1m", bucket, 1] == 1

    run_virtual(outage())


def test_what_is_derived_from_confirmed_candles_stands_when_their_trades_are_doubted_S2() -> None:
    async def doubted() -> None:
        client = exchange({"AAA-USD": 20.0}, 3.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(HOUR)
            recorder = found.following.recorder
            (bucket, *_), *_ = await present(found, "AAA-USD", "1m", int(START) + 300, int(START) + 600)
            await recorder.retract("AAA-USD", bucket, bucket + 60, "test")
            for timeframe in ("1m", "5m", "15m"):
                assert recorder.ledger("AAA-USD", timeframe).coverage.covers(bucket, bucket + 60), timeframe

    run_virtual(doubted())


def test_nothing_is_audited_while_the_clock_of_the_exchange_stands_still() -> None:
    async def still() -> None:
        client = exchange({"AAA-USD": 20.0}, 7.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            client.down = True
            client.cut()
            await asyncio.sleep(5 * HOUR)
            healer = found.following.healer
            assert not [want for want in [*healer.wants, *healer.serving] if want.priority == AUDIT]

    run_virtual(still())


def test_half_a_healthy_day_of_25_symbols_costs_less_than_500_requests_X3() -> None:
    async def half_a_day() -> tuple[int, Counter[str]]:
        # Every ten seconds a trade: no symbol is so quiet that it is asked for its last one.
        markets = {f"S{number:02}-USD": 10.0 for number in range(25)}
        client = exchange(markets, 25.0, history=0.25 * DAY, beat=10.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            healer = found.following.healer
            before, pages = healer.requests, len(client.requests)
            await asyncio.sleep(DAY / 2)
            assert found.following.gaps() == []
            assert found.following.recorder.revised == 0
            return healer.requests - before, Counter(timeframe for _, timeframe, *_ in client.requests[pages:])

    requests, pages = run_virtual(half_a_day())
    assert requests <= 500
    # The close of the day is in the other half, and so are the turns of the other half of the 5m pages.
    assert pages == {"1m": 25 * 12, "5m": 12, "4h": 25 * 3}


def test_a_dead_symbol_is_asked_for_its_last_trade_ever_more_seldom_X3_W37() -> None:
    class Counting(MemoryExchange):
        asked = 0

        async def last_trade(self, symbol: str):  # type: ignore[no-untyped-def]
            self.asked += 1
            return await super().last_trade(symbol)

    async def half_a_day() -> tuple[int, int]:
        client = Counting({"AAA-USD": 1e9}, start=START, history=6 * HOUR, until=START + DAY, beat=10.0)
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(DAY / 2)
            assert found.following.gaps() == []
            return client.asked, client.connections

    # After 90 s, then after 3, 6, 15 and 30 minutes, then each hour: the audit looks as often.
    assert run_virtual(half_a_day()) == (16, 1)


def test_quiet_symbols_are_asked_in_the_same_order_in_every_process_V5() -> None:
    class Noting(MemoryExchange):
        asked: list[str]

        async def last_trade(self, symbol: str):  # type: ignore[no-untyped-def]
            self.asked.append(symbol)
            return await super().last_trade(symbol)

    async def two_minutes() -> list[str]:
        markets = {f"S{number:02}-USD": 1e9 for number in range(12)}
        client = Noting(markets, start=START, history=6 * HOUR, until=START + DAY, beat=10.0)
        client.asked = []
        async with harness(client, MemoryStore(), depth=60) as found:
            await found.live()
            await asyncio.sleep(120.0)
            return client.asked

    assert run_virtual(two_minutes()) == [f"S{number:02}-USD" for number in range(12)]
