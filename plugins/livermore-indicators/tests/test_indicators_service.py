"""The service on virtual time, with holes, cuts and mutes: in the end every value is the one of the true candles."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from livermore_indicators import IndicatorCalculationService, MacdV
from livermore_indicators.averages import EmaOfClose, SmaOfClose
from livermore_indicators.told import Told
from msgspec import structs

from livermore_core import Batch, Candle, Event, Indicator, IndicatorValue, Series, SeriesChange, SeriesHost, StoreError
from livermore_core.bus import BOUND
from livermore_core.indicators.host import HORIZON
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual
from livermore_core.testing.inline_store import inline_store

START = 1_704_270_034.0
MARKETS = {"AAA-USD": 2.0, "BBB-USD": 30.0, "CCC-USD": 200.0}
TYPES = {"macd-v": "livermore_indicators.macd_v:MacdV"}
ABOUT = {"exchange": "memory", "symbol": "AAA-USD", "timeframe": "1m"}
ONE = Series("memory", "AAA-USD", "1m")
VALUE, CORRECTED, PREVIEW = "indicator.value", "indicator.corrected", "indicator.preview"


def market(seed: int, hours: float) -> MemoryExchange:
    until = START + (hours + 1) * 3600
    return MemoryExchange(MARKETS, start=START, history=3 * 86_400, until=until, seed=seed, beat=1.0)


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
            assert structs.replace(stored["macd-v"], state=None, cursor="") == values[max(values)]
        kinds = [event.kind for event in events]
        return compared, len(latest(events)), kinds


@pytest.mark.parametrize("seed", [1, 2])
def test_values_of_a_healthy_market_are_those_of_its_candles_I2_I5(seed: int) -> None:
    compared, series, kinds = run_virtual(run(seed, 3.0, faults=False))
    assert compared > 300
    assert series == 9
    assert CORRECTED not in kinds


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_holes_and_revisions_end_in_the_true_values_I4(seed: int) -> None:
    compared, series, kinds = run_virtual(run(seed, 5.0, faults=True))
    assert compared > 300
    assert series == 9
    assert "candle.gap" in kinds


EVERY_KIND = {
    "macd-v": "livermore_indicators.macd_v:MacdV",
    "obv": "livermore_indicators.obv:Obv",
    "vwap": "livermore_indicators.vwap:AnchoredVwap",
    "sma": "livermore_indicators.averages:SmaOfClose",
    "supertrend": "livermore_indicators.supertrend:SuperTrend",
}


@pytest.mark.parametrize(("history", "empty"), [(3600, "carry"), (3 * 86_400, "skip")])
def test_a_restart_goes_on_bit_for_bit_sums_without_end_included_S10(history: int, empty: str, tmp_path: Path) -> None:
    """Held against a run that never stopped, at a market so young that nothing can be rebuilt, and at an old one."""

    async def lived(pause: bool) -> tuple[dict[tuple[Series, str, int], IndicatorValue], list[str]]:
        client = MemoryExchange(MARKETS, start=START, history=history, until=START + 7200, seed=7)
        url, values, said = f"sqlite:///{tmp_path}/{pause}.sqlite", {}, []
        frames = ("1m", "5m")
        own = {"indicators": {name: {} for name in EVERY_KIND}, "indicator_types": EVERY_KIND, "empty_buckets": empty}
        for _ in range(2 if pause else 1):
            async with (
                inline_store(url) as store,
                harness(client, store, timeframes=frames, backfill_timeframes=frames, **own) as found,
            ):
                await stages(found)
                await asyncio.sleep(1800 if pause else 3600)
                said = [event for _, event, _ in found.said]
                events = await store.events(limit=1_000_000)
        for _, event in events:
            if event.value is not None and event.time > START + 1900:
                values[event.series, event.value.indicator, event.time] = structs.replace(event.value, revision=0)
        return values, said

    whole, _ = run_virtual(lived(pause=False))
    resumed, said = run_virtual(lived(pause=True))
    common = whole.keys() & resumed.keys()
    assert len(common) > 300
    assert {name for _, name, _ in common} == EVERY_KIND.keys()
    assert {key: whole[key] for key in common} == {key: resumed[key] for key in common}
    assert "indicators.replayed" not in said


class Buckets(Indicator):
    """Counts what it is given, and of that what had no trades."""

    outputs = ("all", "empty")
    wants_empty = True

    def __init__(self) -> None:
        self.all, self.empty = 0, 0

    def update(self, candle: Candle) -> tuple[int, int]:
        self.all, self.empty = self.all + 1, self.empty + (candle.volume == 0)
        return self.all, self.empty


def test_who_runs_by_the_clock_hears_of_buckets_without_trades_as_they_close_and_nobody_else_does() -> None:
    quiet = Series("memory", "CCC-USD", "1m")
    types = {"buckets": f"{__name__}:Buckets", **TYPES}

    async def listened() -> tuple[dict[str, list[int]], list[tuple[int, int]], int]:
        client, store = market(7, 1.0), MemoryStore()
        own = {"indicators": {name: {} for name in types}, "indicator_types": types}
        async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
            await stages(found)
            await asyncio.sleep(1800)
            events = [event for _, event in await store.events(limit=1_000_000) if event.series == quiet]
            values = [event.value for event in events if event.value is not None]
            ends = [(value.outputs["all"], value.time) for value in values if value.indicator == "buckets"]
            traded = {row.time for row in await store.candles(quiet, since=0)}
        times = {name: [value.time for value in values if value.indicator == name] for name in types}
        return times, ends, len({*times["buckets"]} - traded)  # type: ignore[return-value]

    times, ends, without_trades = run_virtual(listened())
    assert times["buckets"] == list(range(times["buckets"][0], times["buckets"][-1] + 60, 60))
    assert [count - ends[0][0] for count, _ in ends] == [(time - ends[0][1]) // 60 for _, time in ends]
    assert without_trades > 10
    assert 0 < len(times["macd-v"]) <= len(times["buckets"]) - without_trades


class Broken(Indicator):
    """Raises at a price, or returns what is no number, or cannot be asked about an open candle."""

    def __init__(self, how: str = "update", after: int = 1) -> None:
        self.how, self.after, self.seen = how, after, 0

    def update(self, candle: Candle) -> float:
        self.seen += 1
        if self.how == "update" and self.seen > self.after:
            raise RuntimeError("no such price")
        odd: dict[str, object] = {"nan": float("nan"), "bool": candle.close > candle.open, "huge": 2**64, "bytes": b""}
        return odd.get(self.how, candle.close)  # type: ignore[return-value]

    def peek(self, candle: Candle) -> float:
        if self.how == "peek":
            raise ZeroDivisionError("division by zero")
        return candle.close


@pytest.mark.parametrize(
    ("parameters", "cause"),
    [
        ({"how": "update"}, "RuntimeError: no such price"),
        ({"how": "update", "after": 80}, "RuntimeError: no such price"),
        ({"how": "peek"}, "ZeroDivisionError: division by zero"),
        ({"how": "nan"}, None),
        ({"how": "bool"}, "TypeError: value is True of type bool, not a number, a text or None"),
        ({"how": "huge"}, "TypeError: value is 18446744073709551616 of type int, not a number, a text or None"),
        ({"how": "bytes"}, "TypeError: value is b'' of type bytes, not a number, a text or None"),
    ],
)
def test_an_indicator_that_fails_is_named_and_left_out_and_the_others_go_on(
    parameters: dict[str, object], cause: str | None
) -> None:
    """In the warm-up, live, in a preview; what is no number is no value, and no failure."""

    async def lived() -> tuple[list[Mapping[str, object]], list[IndicatorValue], set[str]]:
        client, store = market(7, 1.0), MemoryStore()
        types = {"broken": f"{__name__}:Broken", **TYPES}
        own = {"indicators": {"broken": parameters, "macd-v": {}}, "indicator_types": types}
        async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
            await stages(found)
            await asyncio.sleep(1800)
            values = [event.value for _, event in await store.events(limit=1_000_000) if event.value is not None]
            return found.events("indicator.failed"), await store.values(ONE), {value.indicator for value in values[-9:]}

    said, latest_values, speaking = run_virtual(lived())
    assert [str(fields["cause"]).replace("False", "True") for fields in said] == ([] if cause is None else [cause])
    assert "macd-v" in {value.indicator for value in latest_values}
    assert "macd-v" in speaking
    if cause is None:
        (value,) = [value for value in latest_values if value.indicator == "broken"]
        assert value.outputs == {"value": None}


class Odd(Indicator):
    """Its state is what a dump cannot hold, or what a load does not take back."""

    def __init__(self, how: str = "dict") -> None:
        self.odd: object = {"dict": {}, "set": set(), "infinite": float("inf"), "load": 0, "dump": 0}[how]
        self.how, self.closes = how, 0.0

    def update(self, candle: Candle) -> float:
        self.closes += candle.close
        return self.closes

    def dump(self) -> str:
        if self.how == "dump":
            raise KeyError("where")
        return super().dump()

    def load(self, text: str) -> None:
        if self.how == "load":
            raise KeyError("where")
        super().load(text)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("dict", "its state does not load: ValueError: a dictionary is no state of a block"),
        ("set", "its state cannot be written out"),
        ("dump", "its state cannot be written out"),
        ("infinite", None),
        ("load", "its state does not load: KeyError: 'where'"),
    ],
)
def test_an_odd_state_is_replayed_at_the_next_start_and_that_is_said(how: str, reason: str | None) -> None:
    types = {"odd": f"{__name__}:Odd"}

    async def twice() -> tuple[list[object], list[IndicatorValue]]:
        client, store = market(12, 2.0), MemoryStore()
        own = {"indicators": {"odd": {"how": how}}, "indicator_types": types}
        for _ in range(2):
            async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
                await stages(found)
                await asyncio.sleep(300)
                said = [fields["reason"] for fields in found.events("indicators.replayed")]
                assert found.events("indicator.failed") == []
        return said, await store.values(ONE)

    said, values = run_virtual(twice())
    assert said == ([] if reason is None else [reason])
    assert len(values) == 1


def test_older_candles_that_come_later_take_nothing_from_a_sum() -> None:
    types = {"obv": "livermore_indicators.obv:Obv"}

    async def deepened() -> tuple[int, int, list[object]]:
        client, store, since = market(12, 2.0), MemoryStore(), []
        for depth in (100, 900):
            own = {"indicators": {"obv": {}}, "indicator_types": types, "depth": depth}
            async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
                await stages(found)
                await asyncio.sleep(300)
                since += [value.since for value in await store.values(ONE)]
                said: list[object] = [*found.events("indicators.replayed")]
        return since[0], since[1], said

    before, after, said = run_virtual(deepened())
    assert before == after
    assert said == []


def test_a_service_that_is_started_again_believes_nothing_in_its_memory_I4() -> None:
    """The first run died; a candle below what it had fed was revised before the second."""
    types = {"cannot": f"{__name__}:Odd"}

    async def again() -> tuple[IndicatorValue, list[Candle]]:
        store = MemoryStore()
        own = {"indicators": {"cannot": {"how": "set"}}, "indicator_types": types}
        async with harness(market(10, 1.0), store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
            found.following.symbols = ("AAA-USD",)
            service = IndicatorCalculationService(found.context)
            for _ in range(2):
                ready = asyncio.Event()
                running = asyncio.ensure_future(service._run(ready.set))
                await ready.wait()
                await learn(found, range(100, 300) if not await store.values(ONE) else range(300, 301))
                running.cancel()
                await asyncio.wait([running])
                wrong = Candle(60 * 210, 10.0, 2000.0, 9.0, 1000.0, 1.0, 1, "rest")
                event = Event(kind="candle.revised", time=wrong.time, candle=wrong, **ABOUT)  # type: ignore[arg-type]
                await store.transact(Batch(changes=[SeriesChange(series=ONE, rows=[wrong])], events=[event]))
            (value,) = await store.values(ONE)
            return value, await store.candles(ONE, since=value.since)

    value, rows = run_virtual(again())
    assert value.outputs["value"] == pytest.approx(sum(row.close for row in rows))


def test_corrections_of_one_value_are_numbered_on_after_a_restart_E2() -> None:
    async def corrected() -> list[Event]:
        client, store = market(12, 2.0), MemoryStore()
        for factor in (1.5, 2.0):
            async with following(client, store) as found:  # type: ignore[attr-defined]
                if factor == 1.5:
                    await stages(found)
                else:
                    await found.following.prepare(found.context)
                    await IndicatorCalculationService(found.context).start()
                await asyncio.sleep(1)
                row = await store.candles(ONE, since=60 * int(START // 60 - 20), until=60 * int(START // 60 - 19))
                wrong = structs.replace(row[0], high=row[0].high * factor, revision=row[0].revision + 1, source="rest")
                event = Event(kind="candle.revised", time=wrong.time, candle=wrong, **ABOUT)  # type: ignore[arg-type]
                change = SeriesChange(series=ONE, rows=[wrong])
                found.bus.publish(event, await store.transact(Batch(changes=[change], events=[event])))
                await asyncio.sleep(1)
        events = [event for _, event in await store.events(limit=1_000_000)]
        return [event for event in events if event.kind == CORRECTED and event.series == ONE]

    events = run_virtual(corrected())
    times = sorted({event.time for event in events})
    for time in times:
        assert [event.revision for event in events if event.time == time] == [1, 2], time
    assert len(times) > 10


def test_a_line_speaks_of_the_series_that_its_globs_name() -> None:
    async def chosen() -> set[tuple[str, str, str]]:
        client, store, seen = market(7, 1.0), MemoryStore(), set()
        indicators = {
            "all": {"use": "macd-v"},
            "some": {"use": "macd-v", "symbols": ["A*", "CCC-USD"], "timeframes": ["*5m"], "fast": 6},
            "none": {"use": "macd-v", "symbols": ["aaa-*"]},
        }
        own = {"indicators": indicators, "indicator_types": TYPES}
        frames = ("1m", "5m", "15m")
        async with harness(client, store, timeframes=frames, backfill_timeframes=frames, **own) as found:
            await found.following.backfill(found.context)
            await IndicatorCalculationService(found.context).start()
            for series in await store.series():
                seen |= {(value.indicator, series.symbol, series.timeframe) for value in await store.values(series)}
            assert found.events("indicators.unmatched") == [{"indicator": "none"}]
        return seen

    seen = run_virtual(chosen())
    assert {key[1:] for key in seen if key[0] == "all"} == {(a, b) for a in MARKETS for b in ("1m", "5m", "15m")}
    assert {key[1:] for key in seen if key[0] == "some"} == {
        (symbol, timeframe) for symbol in ("AAA-USD", "CCC-USD") for timeframe in ("5m", "15m")
    }


@pytest.mark.parametrize("minutes", [20, 200])
def test_a_candle_that_changed_while_nobody_listened_is_in_the_values_after_the_start_I4(minutes: int) -> None:
    """Younger than the state it is replayed; older, the state does not hold."""

    async def away() -> tuple[IndicatorValue, IndicatorValue]:
        client, store = market(12, 2.0), MemoryStore()
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(300)
        row = (await store.candles(ONE, last=minutes))[0]
        wrong = Candle(row.time, row.open, row.high * 2, row.low, row.close, row.volume, row.revision + 1, "rest")
        event = Event(kind="candle.revised", time=row.time, candle=wrong, **ABOUT)  # type: ignore[arg-type]
        await store.transact(Batch(changes=[SeriesChange(series=ONE, rows=[wrong])], events=[event]))
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await found.following.prepare(found.context)
            await IndicatorCalculationService(found.context).start()
            (value,) = await store.values(ONE)
        host = SeriesHost("macd-v", MacdV)
        rows = await store.candles(ONE, since=value.since, until=value.time + 60)
        return value, [host.commit(candle) for candle in rows][-1]

    value, right = run_virtual(away())
    assert structs.replace(value, state=None, cursor="", revision=0) == right


@pytest.mark.parametrize("first", [["macd-v", "ema"], ["ema"]])
def test_an_indicator_that_was_left_out_for_a_run_has_heard_nothing_of_it_I4(first: list[str]) -> None:
    types = {"ema": "livermore_indicators.averages:EmaOfClose", **TYPES}

    async def three_runs() -> tuple[IndicatorValue, list[Candle], list[Mapping[str, object]]]:
        client, store = market(12, 2.0), MemoryStore()
        for names in (first, ["macd-v"], ["macd-v", "ema"]):
            own = {"indicators": {name: {} for name in names}, "indicator_types": types}
            async with harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
                await stages(found)
                if names == ["macd-v"]:  # only the one that runs can hear of it
                    row = (await store.candles(ONE, last=95))[0]
                    wrong = structs.replace(row, close=row.high, revision=row.revision + 1, source="rest")
                    client.revise("AAA-USD", row.time, row.time + 60, 0.0)
                    event = Event(kind="candle.revised", time=row.time, candle=wrong, **ABOUT)  # type: ignore[arg-type]
                    await store.transact(Batch(changes=[SeriesChange(series=ONE, rows=[wrong])], events=[event]))
                    found.bus.publish(event)
                await asyncio.sleep(180)
                said = found.events("indicators.replayed")
        values = {value.indicator: value for value in await store.values(ONE)}
        return values["ema"], await store.candles(ONE, since=values["ema"].since), said

    value, rows, said = run_virtual(three_runs())
    assert [(fields["indicator"], fields["reason"]) for fields in said] == [("ema", "candles below it have changed")]
    host = SeriesHost("ema", EmaOfClose)
    assert structs.replace(value, state=None, cursor="", revision=0) == [host.commit(row) for row in rows][-1]


@pytest.mark.parametrize("parameters", [{"fast": 6}, {"signal": 5}])
def test_a_state_of_other_parameters_is_not_gone_on_from_and_that_is_said(parameters: dict[str, int]) -> None:
    async def changed() -> list[Mapping[str, object]]:
        client, store = market(12, 2.0), MemoryStore()
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
        own = {"indicators": {"macd-v": parameters}, "indicator_types": TYPES}
        frames = ("1m", "5m", "15m")
        async with harness(client, store, timeframes=frames, backfill_timeframes=frames, **own) as found:
            await stages(found)
            return found.events("indicators.replayed")

    (said,) = run_virtual(changed())
    assert said == {"indicator": "macd-v", "series": 9, "reason": "another version or other parameters"}


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


def lone(scenario: Callable[[Harness], Awaitable[None]], *, start: bool = True) -> None:
    """Play a scenario to a service that follows nothing but one empty series."""

    async def played() -> None:
        async with following(market(10, 1.0), MemoryStore()) as found:  # type: ignore[attr-defined]
            found.following.symbols = ("AAA-USD",)
            if start:
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


def test_a_gap_that_was_told_in_what_was_dropped_is_heard_from_the_log_I1_P15() -> None:
    async def unheard(found: Harness) -> None:
        await learn(found, range(100, 150))
        await found.context.store.transact(Batch(events=[gap(150, 151)]))
        found.bus.publish(gap(150, 151))
        for _ in range(BOUND):
            found.bus.publish(Event(kind="candle.open", time=9060, **ABOUT))  # type: ignore[arg-type]
        # The next close comes in the same wake-up.
        assert max(await learn(found, range(151, 153))) == 149
        assert await learn(found, range(150, 151), "candle.healed") == list(range(100, 153))

    lone(unheard)


def test_a_hole_at_the_end_of_what_is_known_is_seen_though_it_was_announced_before_the_start_I1() -> None:
    async def before_the_start(found: Harness) -> None:
        await learn(found, range(100, 150))
        await IndicatorCalculationService(found.context).start()
        # A change that says nothing about the end, then the first close beyond the hole.
        await learn(found, range(140, 141), "candle.healed")
        assert await learn(found, range(151, 153)) == []
        assert await learn(found, range(150, 151), "candle.healed") == [150, 151, 152]

    lone(before_the_start, start=False)


def test_a_restart_while_a_hole_is_open_keeps_what_was_before_it_I1() -> None:
    types = {"obv": "livermore_indicators.obv:Obv"}

    async def restarted() -> tuple[list[int], list[int], int]:
        store = MemoryStore()
        own = {"indicators": {"obv": {}}, "indicator_types": types}
        for number in range(2):
            async with harness(market(10, 1.0), store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
                found.following.symbols = ("AAA-USD",)
                await IndicatorCalculationService(found.context).start()
                if number == 0:
                    await learn(found, range(100, 400))
                    await store.transact(Batch(events=[gap(400, 401)]))
                    found.bus.publish(gap(400, 401))
                    await learn(found, range(401, 404))
                else:
                    waiting = await learn(found, range(404, 406))
                    healed = await learn(found, range(400, 401), "candle.healed")
                    (value,) = await store.values(ONE)
                    assert found.events("indicators.replayed") == []
        return waiting, healed, value.since // 60

    waiting, healed, since = run_virtual(restarted())
    assert max(waiting) == 399
    assert healed == [*waiting, *range(400, 406)]
    assert since == 100


def test_what_was_told_and_changed_while_nobody_listened_is_corrected_at_the_start_I4_V3() -> None:
    """Once, from the candle that changed on; what came of older history changes nothing."""
    types = {"sma": "livermore_indicators.averages:SmaOfClose"}
    own = {"indicators": {"sma": {"length": 2}}, "indicator_types": types}

    async def restarted() -> list[tuple[int, int, object]]:
        store = MemoryStore()
        for number in range(3):
            async with harness(market(10, 1.0), store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
                found.following.symbols = ("AAA-USD",)
                await IndicatorCalculationService(found.context).start()
                if number == 0:
                    await learn(found, range(100, 300))
            if number == 0:
                await retracted_and_healed(store, 298)
        events = [event for _, event in await store.events(limit=9999) if event.kind == CORRECTED]
        return [(event.time // 60, event.revision, event.value.outputs["value"]) for event in events if event.value]

    assert run_virtual(restarted()) == [(298, 1, 11.5), (299, 1, 11.5)]


async def retracted_and_healed(store: MemoryStore, minute: int) -> None:
    """What was believed of a minute is withdrawn, and it is known anew with another candle, and older ones are."""
    start, end = 60 * minute, 60 * minute + 60
    await store.transact(
        Batch(changes=[SeriesChange(series=ONE, uncovered=[(start, end)])], events=[gap(minute, minute + 1)])
    )
    row = Candle(start, 10.0, 12.0, 9.0, 12.0, 1.0, 1)
    healed = SeriesChange(series=ONE, rows=[row], covered=[(start, end), (3000, 3600)])
    said = [Event(kind="candle.revised", time=start, revision=1, candle=row, **ABOUT)]  # type: ignore[arg-type]
    said += [Event(kind="candles.backfilled", time=3000, until=3600, **ABOUT)]  # type: ignore[arg-type]
    await store.transact(Batch(changes=[healed], events=said))


class Refusing(MemoryStore):
    """Refuses so many writes of values."""

    refuse = 0

    async def transact(self, batch: Batch) -> str:
        if self.refuse and any(change.values for change in batch.changes):
            self.refuse -= 1
            raise StoreError("store.full: it is full")
        return await super().transact(batch)


def test_values_that_a_full_store_refuses_are_written_and_told_once_it_takes_them_D01() -> None:
    async def refused() -> tuple[list[int], list[int]]:
        store = Refusing()
        async with following(market(10, 1.0), store) as found:  # type: ignore[attr-defined]
            found.following.symbols = ("AAA-USD",)
            await IndicatorCalculationService(found.context).start()
            await learn(found, range(100, 150))
            store.refuse = 12
            meanwhile = await learn(found, range(150, 153))
            await asyncio.sleep(120)
            return meanwhile, await learn(found, range(153, 154))

    meanwhile, after = run_virtual(refused())
    assert max(meanwhile) == 149
    assert after == list(range(100, 154))


def test_what_was_lost_of_buckets_without_trades_is_made_good_by_the_next_P15() -> None:
    types = {"buckets": f"{__name__}:Buckets"}

    async def quiet() -> list[int]:
        store = MemoryStore()
        own = {"indicators": {"buckets": {}}, "indicator_types": types}
        async with harness(market(10, 1.0), store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found:
            found.following.symbols = ("AAA-USD",)
            await IndicatorCalculationService(found.context).start()
            await learn(found, range(100, 150))
            for minute in range(150, 160):
                covered = SeriesChange(series=ONE, covered=[(60 * minute, 60 * minute + 60)])
                await store.transact(Batch(changes=[covered]))
                found.bus.publish(Event(kind="candle.empty", time=60 * minute, until=60 * minute + 60, **ABOUT))  # type: ignore[arg-type]
                for _ in range(BOUND if minute == 154 else 0):
                    found.bus.publish(Event(kind="candle.open", time=60 * minute, **ABOUT))  # type: ignore[arg-type]
                await asyncio.sleep(1)
            return await learn(found, range(160, 160))

    assert run_virtual(quiet()) == list(range(100, 160))


def test_a_second_correction_while_the_oldest_are_forgotten_corrects_what_it_changes_alone_E2() -> None:
    host, told = SeriesHost("sma", lambda: SmaOfClose(2)), Told()
    rows = [Candle(60 * minute, 10.0, 12.0, 9.0, 11.0, 1.0) for minute in range(1, 258)]
    for row in rows[:255]:
        told.note(ONE, host, host.commit(row))
    at = next(place for place, row in enumerate(rows) if row.time > host.replayed_from) + 2
    corrections = []
    for close in (11.5, 11.7):
        rows[at] = structs.replace(rows[at], close=close)
        fed = [row for row in (rows[:255] if close == 11.5 else rows) if row.time >= host.replay_since]
        corrections.append(
            [(value.time, value.revision, is_new) for value, is_new in told.differences(ONE, host, host.replay(fed))]
        )
    times = rows[at].time, rows[at].time + 60
    assert corrections[0] == [(time, 1, False) for time in times]
    assert corrections[1] == [*((time, 2, False) for time in times), *((row.time, 0, True) for row in rows[255:])]


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


def last_words(events: list[Event], series: Series) -> dict[int, IndicatorValue]:
    """What a reader of the log holds of a series in the end, without revisions."""
    return {
        each.time: structs.replace(each.value, revision=0) for each in events if each.value and each.series == series
    }


@pytest.mark.parametrize("revised", [0, 20, 100])
def test_what_closed_and_changed_while_nobody_listened_is_told_at_the_next_start_E1_I4(revised: int) -> None:
    """To a reader of the log a take-over leaves no hole; a candle that changed meanwhile corrects what was told."""

    async def away() -> tuple[list[Event], dict[int, IndicatorValue], set[int]]:
        client, store = market(12, 2.0), MemoryStore()
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(1200)
        (seen,) = await store.values(ONE)
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await found.live()
            await asyncio.sleep(600)
            if revised:
                row = (await store.candles(ONE, last=revised))[0]
                wrong = structs.replace(row, high=row.high * 1.1, revision=row.revision + 1, source="rest")
                event = Event(kind="candle.revised", time=row.time, candle=wrong, **ABOUT)  # type: ignore[arg-type]
                await store.transact(Batch(changes=[SeriesChange(series=ONE, rows=[wrong])], events=[event]))
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await stages(found)
            await asyncio.sleep(120)
        events = [event for _, event in await store.events(limit=1_000_000) if event.kind in (VALUE, CORRECTED)]
        (value,) = await store.values(ONE)
        rows, host = await store.candles(ONE, since=value.since, until=value.time + 1), SeriesHost("macd-v", MacdV)
        return (
            events,
            {each.time: each for each in map(host.commit, rows)},
            {row.time for row in rows[-20:]} - {seen.time},
        )

    events, single, lately = run_virtual(away())
    told = last_words(events, ONE)
    latest(events)
    assert lately <= told.keys()
    assert (CORRECTED in {event.kind for event in events}) == bool(revised)
    # Where history began anew, what was told before and has not changed began with the old one.
    since = max(value.since for value in told.values())
    held = {time: value for time, value in told.items() if value.since == since}
    assert len(held) > 20
    assert held == {time: single[time] for time in held}


class Killed(BaseException):
    """Nobody hears of a process that was killed."""


class Torn(MemoryStore):
    """Keeps each symbol in a shard of its own; once `dies` is set, the shard of the first symbol is its last."""

    dies = False

    def shard(self, symbol: str) -> int:
        return list(MARKETS).index(symbol)

    async def transact(self, batch: Batch) -> str:
        if not self.dies:
            return await super().transact(batch)
        first = min(change.series.symbol for change in batch.changes)
        await super().transact(
            Batch(
                changes=[change for change in batch.changes if change.series.symbol == first],
                events=[event for event in batch.events if event.symbol == first],
            )
        )
        raise Killed


@pytest.mark.parametrize("minutes", [20, 100])
def test_a_process_that_is_killed_between_two_shards_has_heard_in_each_what_is_written_there_I4(minutes: int) -> None:
    """In one wake-up a candle of two symbols was revised; of one of them the values were written, of the other not."""
    both = [ONE, ONE._replace(symbol="BBB-USD")]

    async def torn() -> list[tuple[IndicatorValue, IndicatorValue, dict[int, IndicatorValue], list[Candle]]]:
        client, store, found_at_last = market(12, 2.0), Torn(), []
        async with following(client, store) as found:  # type: ignore[attr-defined]
            await found.live()
            ready = asyncio.Event()
            running = asyncio.ensure_future(dead(IndicatorCalculationService(found.context)._run(ready.set)))
            await ready.wait()
            await asyncio.sleep(300)
            before = [(await store.values(series))[0] for series in both]
            for series in both:
                row = (await store.candles(series, last=minutes))[0]
                wrong = structs.replace(row, high=row.high * 1.5, revision=row.revision + 1, source="rest")
                event = Event(kind="candle.revised", time=row.time, candle=wrong, **{**ABOUT, "symbol": series.symbol})  # type: ignore[arg-type]
                cursor = await store.transact(
                    Batch(changes=[SeriesChange(series=series, rows=[wrong])], events=[event])
                )
                found.bus.publish(event, cursor)
            store.dies = True
            await running
            store.dies = False
            await IndicatorCalculationService(found.context).start()
            events = [event for _, event in await store.events(limit=1_000_000)]
            for series, old in zip(both, before, strict=True):
                (value,) = await store.values(series)
                rows = await store.candles(series, since=value.since, until=value.time + 1)
                found_at_last.append((old, value, last_words(events, series), rows))
        return found_at_last

    for old, value, told, rows in run_virtual(torn()):
        host = SeriesHost("macd-v", MacdV)
        right = [host.commit(row) for row in rows][-1]
        assert structs.replace(value, state=None, cursor="", revision=0) == right
        assert told[value.time] == right
        assert value.outputs != old.outputs


async def dead(running: Awaitable[None]) -> None:
    """Wait for the end of a process that is killed."""
    with suppress(Killed):
        await running
