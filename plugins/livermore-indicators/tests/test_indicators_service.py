"""The service on virtual time, with holes, cuts and mutes: in the end every value is the one of the true candles."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from livermore_indicators import IndicatorCalculationService, MacdV

from livermore_core import Batch, Candle, Event, IndicatorValue, Series, SeriesChange, SeriesHost
from livermore_core.bus import BOUND
from livermore_core.indicators.host import HORIZON
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual

START = 1_704_270_034.0
MARKETS = {"AAA-USD": 2.0, "BBB-USD": 30.0, "CCC-USD": 200.0}
TYPES = {"macd-v": "livermore_indicators.macd_v:MacdV"}
VALUE, CORRECTED, PREVIEW = "indicator.value", "indicator.corrected", "indicator.preview"


def market(seed: int, hours: float) -> MemoryExchange:
    return MemoryExchange(MARKETS, start=START, history=3 * 86_400, until=START + (hours + 1) * 3600, seed=seed)


def following(client: MemoryExchange, store: MemoryStore) -> object:
    frames = ("1m", "5m", "15m")
    return harness(
        client, store, timeframes=frames, backfill_timeframes=frames, indicators={"macd-v": {}}, indicator_types=TYPES
    )


async def stages(found: Harness) -> None:
    await found.following.backfill(found.context)
    await IndicatorCalculationService(found.context).start()
    await found.following.ingest(found.context)


def latest(events: list[Event]) -> dict[Series, dict[int, IndicatorValue]]:
    """What a reader of the log holds in the end, in whose eyes each value follows the one before."""
    held: dict[Series, dict[int, IndicatorValue]] = {}
    live: set[Series] = set()
    for event in events:
        if event.value is None:
            continue
        values = held.setdefault(event.series, {})
        newest = max(values, default=0)
        if event.kind == VALUE:
            assert event.time > newest, f"{event.series}: a value that is not new"
            live.add(event.series)
        else:
            # The values of the warm-up are stored, not announced: until the first live one, corrections speak of them.
            assert event.series not in live or event.time <= newest, f"{event.series}: corrects nothing"
        known = values.get(event.time)
        assert known is None or event.value.revision > known.revision
        values[event.time] = event.value
    return held


def expected(client: MemoryExchange, series: Series, first: int, last: int) -> dict[int, IndicatorValue]:
    host = SeriesHost("macd-v", MacdV)
    rows = [Candle(*row) for row in client.truth(series.symbol, series.timeframe, first, last)]
    return {value.time: value for value in map(host.commit, rows)}


async def run(seed: int, hours: float, faults: bool) -> tuple[int, int, list[str]]:
    client, store, chance = market(seed, hours), MemoryStore(), random.Random(seed)
    async with following(client, store) as found:  # type: ignore[attr-defined]
        await stages(found)
        while faults and client.now() < START + hours * 3600 - 1200:
            symbol = chance.choice(list(MARKETS))
            chance.choice([client.cut, lambda: client.drop("AAA-USD", 5), lambda: client.silence(symbol)])()  # noqa: B023
            await asyncio.sleep(chance.uniform(60, 900))
            client.silence(symbol, False)
        await asyncio.sleep(START + hours * 3600 - client.now())
        assert found.following.gaps() == []
        events = [event for _, event in await store.events(limit=1_000_000)]
        compared = 0
        for series, values in latest(events).items():
            coverage = await store.coverage(series)
            low, high = list(coverage)[-1]
            truth = expected(client, series, low, high)
            assert max(values) == max(truth), f"{series}: the newest candle has no value"
            for time, value in values.items():
                if time in truth and truth[time].settled and value.settled:
                    assert value.outputs["macd_v"] == pytest.approx(truth[time].outputs["macd_v"], abs=0.02), series
                    compared += 1
            stored = {each.indicator: each for each in await store.values(series)}
            assert stored["macd-v"] == values[max(values)]
        kinds = [event.kind for event in events]
        return compared, len(latest(events)), kinds


@pytest.mark.parametrize("seed", [1, 2])
def test_values_of_a_healthy_market_are_those_of_its_candles_I2_I5(seed: int) -> None:
    compared, series, kinds = run_virtual(run(seed, 3.0, faults=False))
    assert compared > 300
    assert series == 9
    assert CORRECTED not in kinds


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_holes_and_revisions_end_in_the_true_values_I4_I6(seed: int) -> None:
    compared, series, kinds = run_virtual(run(seed, 5.0, faults=True))
    assert compared > 300
    assert series == 9
    assert "candle.gap" in kinds


def test_a_restart_gives_the_values_of_a_run_that_never_stopped() -> None:
    async def twice(pause: bool) -> dict[Series, IndicatorValue]:
        client, store = market(7, 3.0), MemoryStore()
        for _ in range(2 if pause else 1):
            async with following(client, store) as found:  # type: ignore[attr-defined]
                await stages(found)
                await asyncio.sleep(1800 if pause else 3600)
        found_values = {}
        for series in await store.series():
            for value in await store.values(series):
                found_values[series] = value
        return found_values

    one, other = run_virtual(twice(pause=False)), run_virtual(twice(pause=True))
    assert one.keys() == other.keys()
    assert len(one) == 9
    for series, value in one.items():
        assert value.outputs["macd_v"] == pytest.approx(other[series].outputs["macd_v"], abs=0.02), series
        assert value.time - other[series].time in (0, -60, 60) or series.timeframe != "1m"


@pytest.mark.parametrize("minutes", [10, 150])
def test_values_follow_a_candle_that_the_audit_revises_however_old_I4_R17(minutes: int) -> None:
    async def audited() -> tuple[IndicatorValue, IndicatorValue, int]:
        client, store = market(12, 2.0), MemoryStore()
        series = Series("memory", "AAA-USD", "1m")
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(1200)
            bucket = (int(client.now()) // 60 - minutes) * 60
            client.revise("AAA-USD", bucket, bucket + 60, 0.0)
            await asyncio.sleep(3900)
            events = [event for _, event in await store.events(limit=1_000_000)]
            (held,) = await store.values(series)
            truth = expected(client, series, held.since, held.time + 60)
            corrections = [event for event in events if event.kind == CORRECTED and event.series == series]
            return held, truth[held.time], min(event.time for event in corrections) - bucket

    value, true, first = run_virtual(audited())
    assert value.outputs == true.outputs
    assert first >= 0
    assert first <= 60 or minutes > HORIZON


def test_previews_of_the_open_candle_are_published_and_not_stored() -> None:
    async def previews() -> tuple[int, list[str]]:
        client, store = market(8, 1.0), MemoryStore()
        async with following(client, store) as found:  # type: ignore[attr-defined]
            with found.context.subscribe({PREVIEW}) as heard:
                await stages(found)
                await asyncio.sleep(600)
                events = await heard.get()
        assert all(event.value is not None and event.value.provisional for event in events)
        return len(events), [event.kind for _, event in await store.events(limit=100_000)]

    count, kinds = run_virtual(previews())
    assert count > 100
    assert PREVIEW not in kinds


def test_a_correction_of_an_older_value_does_not_become_the_latest() -> None:
    """An average that has forgotten the revised candle keeps its newest value; the correction is an older one's."""

    async def revised() -> tuple[IndicatorValue, list[Event]]:
        client, store = market(9, 1.0), MemoryStore()
        types = {"sma": "livermore_indicators.averages:SmaOfClose"}
        frames = ("1m", "5m", "15m")
        own = {"indicators": {"sma": {"length": 2}}, "indicator_types": types}
        async with harness(client, store, timeframes=frames, backfill_timeframes=frames, **own) as found:
            await stages(found)
            await asyncio.sleep(300)
            series = Series("memory", "AAA-USD", "1m")
            rows = await store.candles(series, last=10)
            wrong = Candle(rows[2].time, 1.0, 2.0, 1.0, 2.0, 1.0, rows[2].revision + 1, "rest")
            event = Event(
                kind="candle.revised",
                exchange="memory",
                symbol="AAA-USD",
                timeframe="1m",
                time=wrong.time,
                candle=wrong,
            )
            await store.transact(Batch(changes=[SeriesChange(series=series, rows=[wrong])], events=[event]))
            found.bus.publish(event)
            await asyncio.sleep(1)
            (latest_value,) = await store.values(series)
            events = [event for _, event in await store.events(limit=100_000)]
            return latest_value, [each for each in events if each.kind == CORRECTED and each.series == series]

    value, corrections = run_virtual(revised())
    assert len(corrections) == 2
    assert all(each.time < value.time for each in corrections)


ABOUT = {"exchange": "memory", "symbol": "AAA-USD", "timeframe": "1m"}
ONE = Series("memory", "AAA-USD", "1m")


async def learn(found: Harness, minutes: range, kind: str = "candle.closed") -> list[int]:
    """The series hears of these minutes; what was published by then, in minutes."""
    for minute in minutes:
        row = Candle(60 * minute, 10.0, 12.0, 9.0, 11.0, 1.0)
        change = SeriesChange(series=ONE, rows=[row], covered=[(60 * minute, 60 * minute + 60)])
        event = Event(kind=kind, time=60 * minute, candle=row, **ABOUT)  # type: ignore[arg-type]
        await found.context.store.transact(Batch(changes=[change], events=[event]))
        found.bus.publish(event)
        await asyncio.sleep(1)
    return [event.time // 60 for _, event in await found.context.store.events(limit=9999) if event.kind == VALUE]


def gap(first: int, last: int) -> Event:
    return Event(kind="candle.gap", time=60 * first, until=60 * last, reason="test", **ABOUT)  # type: ignore[arg-type]


def lone(scenario: Callable[[Harness], Awaitable[None]]) -> None:
    """Play a scenario to a service that follows nothing but one empty series."""

    async def played() -> None:
        async with following(market(10, 1.0), MemoryStore()) as found:  # type: ignore[attr-defined]
            found.following.symbols = ("AAA-USD",)
            await IndicatorCalculationService(found.context).start()
            await scenario(found)

    run_virtual(played())


def test_a_young_series_publishes_nothing_across_a_hole_I5() -> None:
    """Fewer candles than can be snapshotted: what was fed still decides which side of the hole may speak."""

    async def broken(found: Harness) -> None:
        await learn(found, range(100, 150))
        found.bus.publish(gap(150, 151))
        await learn(found, range(151, 154))
        assert max(await learn(found, range(154, 155), "candle.healed")) == 149
        assert await learn(found, range(150, 151), "candle.healed") == list(range(100, 155))

    lone(broken)


def test_a_gap_that_heals_in_pieces_lets_nothing_speak_before_the_last_one_I1() -> None:
    async def in_pieces(found: Harness) -> None:
        await learn(found, range(100, 150))
        found.bus.publish(gap(150, 152))
        await learn(found, range(150, 151), "candle.healed")
        assert max(await learn(found, range(152, 153))) == 150
        assert await learn(found, range(151, 152), "candle.healed") == list(range(100, 153))

    lone(in_pieces)


def test_a_gap_that_was_told_in_what_was_dropped_is_seen_at_the_next_close_I1_P15() -> None:
    async def unheard(found: Harness) -> None:
        await learn(found, range(100, 150))
        found.bus.publish(gap(150, 151))
        for _ in range(BOUND + 1):
            found.bus.publish(Event(kind="candle.open", time=9060, **ABOUT))  # type: ignore[arg-type]
        await asyncio.sleep(1)
        assert max(await learn(found, range(151, 153))) == 149
        assert await learn(found, range(150, 151), "candle.healed") == list(range(100, 153))

    lone(unheard)


def test_what_a_full_backlog_drops_is_read_from_the_store_E6_P15() -> None:
    async def flooded() -> tuple[int, int]:
        client, store = market(11, 1.0), MemoryStore()
        series = Series("memory", "AAA-USD", "1m")
        about = {"exchange": "memory", "symbol": "AAA-USD", "timeframe": "1m"}
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(300)
            newest = (await store.candles(series, last=1))[0].time + 60
            row = Candle(newest, 10.0, 12.0, 9.0, 11.0, 1.0)
            event = Event(kind="candle.closed", time=newest, candle=row, **about)  # type: ignore[arg-type]
            change = SeriesChange(series=series, rows=[row], covered=[(newest, newest + 60)])
            await store.transact(Batch(changes=[change], events=[event]))
            found.bus.publish(event)
            preview = Event(kind="candle.open", time=newest + 60, **about)  # type: ignore[arg-type]
            for _ in range(BOUND):
                found.bus.publish(preview)
            await asyncio.sleep(1)
            (value,) = await store.values(series)
            return value.time, newest

    found, expected_time = run_virtual(flooded())
    assert found == expected_time


@pytest.mark.parametrize("retracted", [False, True])
def test_what_was_told_before_a_restart_is_not_told_once_more_E3(retracted: bool) -> None:
    async def restarted() -> tuple[list[int], list[int]]:
        client, store, said = market(12, 2.0), MemoryStore(), []
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(1800)
        told = [event.time for _, event in await store.events(limit=1_000_000) if event.kind == VALUE]
        known = (await store.coverage(ONE)).end or 0
        if retracted:  # at the next start the newest candle that had a value is not known
            (value,) = await store.values(ONE)
            known = value.time
            gone = SeriesChange(series=ONE, uncovered=[(known, known + 3600)])
        else:  # or the newest thing that is known is that nothing traded
            gone = SeriesChange(series=ONE, covered=[(known + 60, known + 120)])
        await store.transact(Batch(changes=[gone]))
        async with following(client, store) as found:  # type: ignore[attr-defined]
            with found.bus.subscribe({VALUE}) as listener:
                await found.following.prepare(found.context)
                await IndicatorCalculationService(found.context).start()
                for bucket in (known, known + 60):
                    candle = Candle(bucket, 10.0, 10.0, 10.0, 10.0, 1.0)
                    await found.following.recorder.learn(ONE, [(bucket, bucket + 60)], [candle], live=False)
                said += [event.time for event in await listener.get() if event.series == ONE]
        return told, said

    told, said = run_virtual(restarted())
    assert len(told) > 60
    assert said
    assert not {*said} & {*told}
