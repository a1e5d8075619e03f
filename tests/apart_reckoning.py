"""What must hold of a store that several processes wrote: what a follower read, candles, and values bit for bit.

Values are held against two runs of a single process. One ran beside them on SQLite, on the same market from the same
moment on, and nothing ever happened to it. Its candles have the same prices, but a volume that it summed from trades
may differ in the last bit from one that the exchange summed, where the others had to ask for it; so its values are
equal where no volume goes in. The other is a single feeding of the very candles that are stored, from where each value
says that its history began, without a halt: what a process would have made of them that never stopped. Every value is
held against this one, whatever it is made of. Equal means ==, of every output, `settled`, `since`, `have` and `need`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from livermore_indicators import MacdV
from livermore_indicators.averages import SmaOfClose
from livermore_indicators.obv import Obv
from livermore_indicators.supertrend import SuperTrend
from livermore_indicators.vwap import AnchoredVwap
from msgspec import structs

from livermore_core import CandleStore, Event, IndicatorValue, Series, SeriesHost, open_reader, same, width
from livermore_core.market.intervals import Intervals

TYPES: dict[str, Callable[[], Any]] = {
    "macd-v": MacdV,
    "obv": Obv,
    "vwap": AnchoredVwap,
    "supertrend": SuperTrend,
    "sma": SmaOfClose,
}
OF_VOLUMES = {"obv", "vwap"}
# Exchange seconds after which everything about a bucket is settled.
SETTLED = 120.0
BACKFILLED, GAP = "candles.backfilled", "candle.gap"
FIRST = ("candle.closed", "candle.healed")
VALUE, CORRECTED = "indicator.value", "indicator.corrected"
Key = tuple[Series, str]
Told = dict[Key, dict[int, IndicatorValue]]


class Follower:
    """A consumer with one connection and one cursor, whoever writes: what it read, and what was wrong with it."""

    def __init__(self) -> None:
        self.told: Told = defaultdict(dict)
        self.events = 0
        self.problems: list[str] = []
        self._cursor = ""
        self._seen: set[tuple[Any, ...]] = set()
        self._newest: dict[tuple[Series, str], int] = defaultdict(int)
        self._known: dict[Series, Intervals] = defaultdict(Intervals)
        # Announced as unknown, and the end of it not yet.
        self._gaps: dict[Series, Intervals] = defaultdict(Intervals)

    async def follow(self, url: str) -> None:
        """Read for ever."""
        async with open_reader(url) as store:
            while True:
                await store.wait(self._cursor, 1.0)
                await self.catch_up(store)

    async def catch_up(self, store: CandleStore) -> None:
        """Read everything there is."""
        while page := await store.events(after=self._cursor, limit=5000):
            for self._cursor, event in page:
                self.events += 1
                self.problems += self._wrong(event)

    def _wrong(self, event: Event) -> Iterator[str]:
        name = event.value.indicator if event.value is not None else ""
        key = (event.series, event.time, event.revision, name)
        if event.kind not in (BACKFILLED, GAP):
            if key in self._seen:
                yield f"{event.series} {event.time}: {event.kind} {name} {event.revision} was told before"
            self._seen.add(key)
        if event.value is not None:
            yield from self._wrong_value(event, event.value)
        else:
            yield from self._wrong_candle(event)

    def _wrong_value(self, event: Event, value: IndicatorValue) -> Iterator[str]:
        key = event.series, value.indicator
        if event.kind == VALUE and value.time <= self._newest[key]:
            yield f"{event.series} {value.indicator} {value.time}: is not new after {self._newest[key]}"
        known = self.told[key].get(value.time)
        if known is not None and known.revision >= value.revision:
            yield f"{event.series} {value.indicator} {value.time}: revision {value.revision} after {known.revision}"
        self._newest[key] = max(self._newest[key], value.time)
        self.told[key][value.time] = value

    def _wrong_candle(self, event: Event) -> Iterator[str]:
        """A bucket becomes known once: by its close, or by the range that was fetched; else a gap was told before.

        What heals a gap is told candle by candle, if it is live, and then as a range.
        """
        end = event.until or event.time + width(event.timeframe)
        known, gaps = self._known[event.series], self._gaps[event.series]
        if event.kind == GAP:
            known.remove(event.time, end)
            gaps.add(event.time, end)
        elif event.kind in (*FIRST, BACKFILLED):
            for low, high in known.within(event.time, end):
                if event.kind != BACKFILLED or not gaps.covers(low, high):
                    yield f"{event.series}: [{low}, {high}) was known before {event.kind} of {event.time}"
            known.add(event.time, end)
        if event.kind == BACKFILLED:
            gaps.remove(event.time, end)
        if event.kind == "candle.closed":
            if event.time <= self._newest[event.series, ""]:
                yield f"{event.series} {event.time}: closed after {self._newest[event.series, '']}"
            self._newest[event.series, ""] = event.time

    def unheard(self, series: Series, times: list[int]) -> Iterator[str]:
        """The stored candles that it never heard of."""
        for time in times:
            if not self._known[series].covers(time, time + 1):
                yield f"{series} {time}: is stored, and nobody said so"


class Reckoning(NamedTuple):
    """How much was held against what, and where it differed. `volumes` differ in the last bit between the two runs."""

    candles: int
    values: int
    values_alone: int
    volumes: int
    differences: list[str]


async def behind(store: CandleStore, all_series: list[Series], now: float) -> list[str]:
    """What is not known yet of all up to now, and which indicator has no value of it."""
    found = []
    for series in all_series:
        wide, known = width(series.timeframe), list(await store.coverage(series))
        if len(known) != 1 or known[0][1] < (now - SETTLED) // wide * wide:
            found.append(f"{series}: {known[-3:]} is known at {now}")
            continue
        (newest,) = await store.candles(series, last=1)
        values = {value.indicator: value.time for value in await store.values(series)}
        late = {name: values.get(name) for name in TYPES if values.get(name, 0) < newest.time}
        found += [f"{series}: the newest candle is of {newest.time}, values are of {late}"] if late else []
    return found


async def reckoned(url: str, alone: str, follower: Follower, all_series: list[Series], empty: str) -> Reckoning:
    """Hold all that was stored and told at `url` against the process for itself and against a single feeding."""
    differences: list[str] = []
    counts = [0, 0, 0, 0]
    beside = Follower()
    async with open_reader(url) as store, open_reader(alone) as other:
        await follower.catch_up(store)
        await beside.catch_up(other)
        for series in all_series:
            mine, its = await _candles(store, series), await _candles(other, series)
            differences += follower.unheard(series, [*mine])
            common = sorted(mine.keys() & its.keys())
            counts[0] += len(common)
            counts[3] += sum(mine[time].volume != its[time].volume for time in common)
            differences += _unequal_candles(series, mine, its)
            stored = {value.indicator: value for value in await store.values(series)}
            until = (await store.coverage(series)).end or 0
            for name in TYPES:
                told = follower.told[series, name]
                told[stored[name].time] = stored[name]
                single = _fed(name, series, mine, {value.since for value in told.values()}, empty, until)
                counts[1] += len(told)
                differences += _unequal(f"{series} {name}", told, single)
                if name not in OF_VOLUMES:
                    against = {(value.since, time): value for time, value in beside.told[series, name].items()}
                    counts[2] += len(against)
                    differences += _unequal(f"{series} {name} alone", told, against, is_all=True)
            await asyncio.sleep(0)
    return Reckoning(*counts, differences=[*follower.problems, *differences])


async def _candles(store: CandleStore, series: Series) -> dict[int, Any]:
    return {candle.time: candle for candle in await store.candles(series)}


def _unequal_candles(series: Series, mine: Mapping[int, Any], its: Mapping[int, Any]) -> Iterator[str]:
    first, last = max(min(mine), min(its)), min(max(mine), max(its))
    for time in sorted(mine.keys() | its.keys()):
        one, other = mine.get(time), its.get(time)
        if first <= time <= last and (one is None or other is None or not same(one, other)):
            yield f"{series} {time}: {one}, alone {other}"


def _fed(
    name: str, series: Series, candles: Mapping[int, Any], sinces: set[int], empty: str, until: int
) -> dict[tuple[int, int], IndicatorValue]:
    """By where history began and time: the values of one feeding of all candles from there on."""
    values = {}
    for since in sinces:
        host = SeriesHost(name, TYPES[name], width=width(series.timeframe), empty=empty)
        rows = [candles[time] for time in sorted(candles) if time >= since]
        values.update({(since, value.time): value for value in host.commit_all(rows, until)})
    return values


def _unequal(
    what: str,
    told: Mapping[int, IndicatorValue],
    single: Mapping[tuple[int, int], IndicatorValue],
    is_all: bool = False,
) -> Iterator[str]:
    """Values that were told and are others in the single run; with `is_all` also those that were never told."""
    if is_all:
        last = max(told)
        for since, time in single:
            if time <= last and time not in told:
                yield f"{what} {time}: was never told"
            elif time <= last and told[time].since != since:
                yield f"{what} {time}: history began at {told[time].since}, not {since}"
        told = {time: value for time, value in told.items() if (value.since, time) in single}
    for time, value in told.items():
        expected = single.get((value.since, time))
        if expected is None or _plain(value) != _plain(expected):
            yield f"{what} {time}: {_plain(value)}, not {expected and _plain(expected)}"


def _plain(value: IndicatorValue) -> IndicatorValue:
    return structs.replace(value, state=None, cursor="", revision=0)
