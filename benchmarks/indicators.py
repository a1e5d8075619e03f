"""Measures what MACD-V costs per candle, through the service, and to warm; and how near it is to the vectors.

Prints one JSON line per figure. The reference is one fused function in plain Python, with tasks around it where ours
has some. CPU time throughout: nothing here waits.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from math import nan
from pathlib import Path
from statistics import median
from time import process_time
from types import SimpleNamespace
from typing import Any

from _reference import FusedMacdV
from livermore_indicators import IndicatorCalculationService, MacdV

from livermore_core import Batch, Candle, Context, Event, Series, SeriesChange, SeriesHost
from livermore_core.bus import Bus
from livermore_core.testing.memory_store import MemoryStore

ROUNDS = 7
COMMITS = 20_000
EVENTS = 5_000
SYMBOLS = 25
WARM_SERIES, DEPTH = 3_000, 300
STEP = 60
VECTORS = Path(__file__).parents[1] / "tests" / "data" / "indicator-vectors.json"

Ready = Callable[[], None]


def walk(seed: int, count: int) -> list[Candle]:
    """Candles of a seeded random walk, a minute apart."""
    chance, price, candles = random.Random(seed), 100.0, []
    for position in range(1, count + 1):
        opening, price = price, price * (1.0 + chance.uniform(-0.002, 0.002))
        high, low = max(opening, price) * 1.0005, min(opening, price) * 0.9995
        candles.append(Candle(position * STEP, opening, high, low, price, 1.0))
    return candles


def per_call(calls: Sequence[Callable[[], int]]) -> list[float]:
    """Microseconds of each of what a call returns the number of: medians of rounds in which they take turns."""
    rounds = []
    for _ in range(ROUNDS):
        row = []
        for call in calls:
            began = process_time()
            count = call()
            row.append((process_time() - began) / count * 1e6)
        rounds.append(row)
    return [median(times) for times in zip(*rounds, strict=True)]


# ---- a commit ----


def commit() -> dict[str, Any]:
    """A closed candle into a warm indicator: alone, and through its host."""
    warm, fed = walk(1, DEPTH), walk(1, DEPTH + COMMITS)[DEPTH:]

    def own() -> int:
        host = SeriesHost("macd-v", MacdV)
        host.rebuild(warm)
        for candle in fed:
            host.commit(candle)
        return len(fed)

    def bare() -> int:
        indicator = MacdV()
        for candle in fed:
            indicator.update(candle)
        return len(fed)

    def preview() -> int:
        host = SeriesHost("macd-v", MacdV)
        host.rebuild(warm)
        for candle in fed:
            host.peek(candle)
        return len(fed)

    def reference() -> int:
        indicator = FusedMacdV()
        for candle in fed:
            indicator.update(candle.high, candle.low, candle.close)
        return len(fed)

    ours, alone, peek, least = per_call([own, bare, preview, reference])
    return {
        "benchmark": "macd_v_commit",
        "us": round(ours, 2),
        "update_us": round(alone, 2),
        "peek_us": round(peek, 2),
        "reference_us": round(least, 2),
        "ratio": round(ours / least, 2),
        "at_least": 5,
        "aim": 2,
    }


# ---- an event ----


class Rig:
    """The service on a store in memory, with `series` warmed from `DEPTH` candles each."""

    def __init__(self, rows: Sequence[Sequence[Candle]]) -> None:
        self.bus, self.store = Bus(), MemoryStore()
        self.series = [Series("memory", f"S{number}-USD", "1m") for number in range(len(rows))]
        self._rows, self._tasks = rows, list[asyncio.Task[None]]()

    async def fill(self) -> None:
        for series, rows in zip(self.series, self._rows, strict=True):
            covered = [(rows[0].time, rows[-1].time + STEP)]
            await self.store.transact(Batch(changes=[SeriesChange(series=series, rows=rows, covered=covered)]))

    async def store_them(self, events: Sequence[Event]) -> None:
        """What the recorder would have committed before it is announced."""
        for event in events:
            rows = [event.candle] if event.candle is not None else []
            change = SeriesChange(series=event.series, rows=rows, covered=[(event.time, event.time + STEP)])
            await self.store.transact(Batch(changes=[change]))

    async def start(self) -> None:
        """Returns once every indicator is warm."""
        symbols = [series.symbol for series in self.series]
        following: Any = SimpleNamespace(name="memory", symbols=symbols, timeframes=("1m",))
        context = Context(
            plugin="indicators",
            stage="indicators",
            settings=None,
            indicators={"macd-v": {}},
            indicator_types={"macd-v": "livermore_indicators.macd_v:MacdV"},
            store=self.store,
            bus=self.bus,
            exchanges={"memory": following},
            clock=SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time()),
            log=None,
            start=self._start,
            report=lambda event, fields: None,
        )
        await IndicatorCalculationService(context).start()

    async def _start(self, service: Callable[[Ready], Awaitable[None]], *, name: str, critical: bool = False) -> None:
        ready = asyncio.Event()
        self._tasks.append(asyncio.ensure_future(service(ready.set)))
        await ready.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def closed(series: Series, candle: Candle) -> Event:
    exchange, symbol, timeframe = series
    return Event(
        kind="candle.closed",
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        time=candle.time,
        candle=candle,
    )


async def published(batch: int) -> float:
    """Microseconds per candle event, given `batch` at a time, until its value is heard of."""
    every = [walk(number, DEPTH + EVENTS // SYMBOLS + 1) for number in range(SYMBOLS)]
    rig = Rig([rows[:DEPTH] for rows in every])
    fed = zip(*(rows[DEPTH:] for rows in every), strict=True)
    events = [closed(*pair) for moment in fed for pair in zip(rig.series, moment, strict=True)]
    await rig.fill()
    await rig.start()
    with rig.bus.subscribe({"indicator.value"}) as values:

        async def say(some: Sequence[Event]) -> None:
            for event in some:
                rig.bus.publish(event)
            heard = 0
            while heard < len(some):
                heard += len(await values.get())

        # The first close after the warm-up is looked up in the store.
        await rig.store_them(events[:SYMBOLS])
        await say(events[:SYMBOLS])
        timed = events[SYMBOLS:]
        began = process_time()
        for first in range(0, len(timed), batch):
            await say(timed[first : first + batch])
        spent = process_time() - began
    await rig.stop()
    return spent / len(timed) * 1e6


async def reference_published() -> float:
    """The same round trip with nothing in it: an event wakes a task, a fused update, its value wakes the listener."""
    fed = walk(1, EVENTS)
    indicator, asked, answered = FusedMacdV(), asyncio.Event(), asyncio.Event()
    given, values = list[Candle](), list[object]()

    async def serve() -> None:
        while True:
            await asked.wait()
            asked.clear()
            candle = given.pop()
            values.append(indicator.update(candle.high, candle.low, candle.close))
            answered.set()

    task = asyncio.ensure_future(serve())
    began = process_time()
    for candle in fed:
        given.append(candle)
        asked.set()
        await answered.wait()
        answered.clear()
    spent = process_time() - began
    task.cancel()
    return spent / len(fed) * 1e6


def event_to_value() -> list[dict[str, Any]]:
    """From `candle.closed` on the bus until a listener has its `indicator.value`."""
    rounds = [
        (asyncio.run(published(1)), asyncio.run(published(SYMBOLS)), asyncio.run(reference_published()))
        for _ in range(ROUNDS)
    ]
    one, together, least = (median(times) for times in zip(*rounds, strict=True))
    return [
        {
            "benchmark": "candle_event_to_value",
            "batch": batch,
            "us": round(found, 2),
            "reference_us": round(least, 2),
            "ratio": round(found / least, 2),
            "at_least": 20,
            "aim": 10,
        }
        for batch, found in ((1, one), (SYMBOLS, together))
    ]


# ---- warming ----


def warm_up() -> list[dict[str, Any]]:
    """Every series from its stored candles: hosts alone, and the service with a store in memory."""
    rows = [walk(number, DEPTH) for number in range(WARM_SERIES)]

    def hosts() -> float:
        began = process_time()
        made = [SeriesHost("macd-v", MacdV) for _ in rows]
        for host, candles in zip(made, rows, strict=True):
            host.rebuild(candles)
        return process_time() - began

    async def service() -> float:
        rig = Rig(rows)
        await rig.fill()
        began = process_time()
        await rig.start()
        spent = process_time() - began
        await rig.stop()
        return spent

    def reference() -> float:
        began = process_time()
        for candles in rows:
            indicator = FusedMacdV()
            for candle in candles:
                indicator.update(candle.high, candle.low, candle.close)
        return process_time() - began

    rounds = [(hosts(), asyncio.run(service()), reference()) for _ in range(2)]
    alone, served, least = (min(times) for times in zip(*rounds, strict=True))
    return [
        {
            "benchmark": "warm_up",
            "through": through,
            "series": WARM_SERIES,
            "candles": DEPTH,
            "seconds": round(found, 2),
            "reference_seconds": round(least, 2),
            "ratio": round(found / least, 2),
            "at_least": 8,
            "aim": 1,
        }
        for through, found in (("hosts", alone), ("service", served))
    ]


# ---- truth ----


def error(name: str, given: dict[str, Any]) -> float:
    """The greatest difference in points of MACD-V, signal and histogram; not a number where a value is missing."""
    indicator, greatest = MacdV(), 0.0
    expected = given["expected"]["macd_v"]
    for position, row in enumerate(given["candles"]):
        got = indicator.update(Candle(*row)) or (None, None, None)
        for column, value in zip(("macd_v", "signal", "histogram"), got[:3], strict=True):
            wanted = expected[column][position]
            if value is None or wanted is None:
                greatest = greatest if value is wanted else nan
            else:
                greatest = max(greatest, abs(value - wanted))
    return greatest


def truth() -> dict[str, Any]:
    given = json.loads(VECTORS.read_text())["series"]
    errors = {name: error(name, series) for name, series in given.items()}
    # A market that stood still for long: the true value is a quotient of rounding errors, so the vectors allow 0.001.
    still = errors.pop("long_flat")
    return {
        "benchmark": "macd_v_error",
        "points": max(errors.values()),
        "points_after_long_flat": still,
        "at_least": 1e-6,
        "aim": 1e-9,
    }


def main() -> None:
    for figures in (truth(), commit(), *event_to_value(), *warm_up()):
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
