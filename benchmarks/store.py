"""Measures what the embedded store takes: bytes on disk, time to write; and the memory of a run that is warm.

Prints one JSON line per figure. The reference for writing is one `executemany` into the same table per group.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Any

from livermore_core import Batch, Candle, Event, IndicatorValue, Series, SeriesChange, width
from livermore_core.store.schema import TABLES, to_row
from livermore_core.store.sqlite import SqliteStore, open_store

TIMEFRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")
SYMBOLS = [f"S{number}-USD" for number in range(25)]
SERIES = [Series("coinbase", symbol, timeframe) for symbol in SYMBOLS for timeframe in TIMEFRAMES]
DEPTH, PAGE = 1000, 300
LIVE_DEPTH = 100
ROUNDS, GROUPS = 5, 100
# What 250 ms bring when an hour turns: one batch per symbol, a candle in each of these.
TURN = TIMEFRAMES[:4]
START = 1_790_000_000 // 86_400 * 86_400


def candle(series: Series, position: int, chance: random.Random) -> Candle:
    """The candle of a series at a position; its prices have cents, its volume hundred-millionths."""
    low = round(chance.uniform(50.0, 60_000.0), 2)
    high = round(low * 1.002, 2)
    middle = round(low * 1.001, 2)
    time = START + position * width(series.timeframe)
    return Candle(time, middle, high, low, middle, round(chance.uniform(0.1, 50.0), 8))


def change(series: Series, rows: list[Candle]) -> SeriesChange:
    covered = (rows[0].time, rows[-1].time + width(series.timeframe))
    return SeriesChange(series=series, rows=rows, covered=[covered])


def event(series: Series, kind: str, time: int, **fields: Any) -> Event:
    exchange, symbol, timeframe = series
    return Event(kind=kind, exchange=exchange, symbol=symbol, timeframe=timeframe, time=time, **fields)


# ---- disk ----


def size(path: Path) -> int:
    """Bytes of the file; its write-ahead log went into it when the last connection closed."""
    assert not path.with_name(path.name + "-wal").exists()
    return path.stat().st_size


async def backfilled(path: Path) -> float:
    """Bytes per candle after pages of history with their announcements, as a backfill writes them."""
    chance = random.Random(1)
    async with open_store(f"sqlite:///{path}") as store:
        for series in SERIES:
            rows = [candle(series, position, chance) for position in range(DEPTH)]
            for first in range(0, DEPTH, PAGE):
                page = rows[first : first + PAGE]
                until = page[-1].time + width(series.timeframe)
                said = event(series, "candles.backfilled", page[0].time, until=until, count=len(page))
                await store.transact(Batch(changes=[change(series, page)], events=[said]))
    return size(path) / (len(SERIES) * DEPTH)


async def lived(path: Path, *, logged: bool) -> float:
    """Bytes per candle written one by one, all series in turn; `logged`: with its event, its value and that event."""
    chance = random.Random(1)
    async with open_store(f"sqlite:///{path}") as store:
        for position in range(LIVE_DEPTH):
            rows = [(series, candle(series, position, chance)) for series in SERIES]
            if logged:
                await asyncio.gather(*(close(store, series, row) for series, row in rows))
            else:
                await store.transact(Batch(changes=[change(series, [row]) for series, row in rows]))
    return size(path) / (len(SERIES) * LIVE_DEPTH)


async def close(store: SqliteStore, series: Series, row: Candle) -> None:
    """One closed candle as the live path writes it, and then the value of its indicator."""
    closed = event(series, "candle.closed", row.time, candle=row)
    await store.transact(Batch(changes=[change(series, [row])], events=[closed]))
    outputs = dict[str, float | str | int | None](macd_v=row.open / 7, signal=row.open / 9, histogram=row.open / 11)
    outputs |= {"zone": "neutral", "stage": "rebounding", "bars_in_stage": 7}
    value = IndicatorValue(indicator="macd-v", time=row.time, outputs=outputs, settled=True, have=34, need=34)
    said = event(series, "indicator.value", row.time, value=value)
    await store.transact(Batch(changes=[SeriesChange(series=series, values=[value])], events=[said]))


async def disk(folder: Path) -> dict[str, Any]:
    bulk = await backfilled(folder / "backfilled.sqlite")
    alone = await lived(folder / "lived.sqlite", logged=False)
    whole = await lived(folder / "logged.sqlite", logged=True)
    return {
        "benchmark": "sqlite_disk",
        "candles": len(SERIES) * DEPTH,
        "bytes_per_candle": round(bulk, 1),
        "bytes_per_live_candle": round(alone, 1),
        "bytes_per_live_candle_with_log": round(whole, 1),
        "at_least": 120,
        "aim": 80,
    }


# ---- writing ----


def groups(chance: random.Random) -> Iterator[list[tuple[str, list[tuple[Series, Candle]]]]]:
    """Groups of what comes together: for each symbol a candle in several timeframes."""
    for position in range(GROUPS):
        yield [
            (symbol, [(series, candle(series, position, chance)) for series in SERIES if _turns(series, symbol)])
            for symbol in SYMBOLS
        ]


def _turns(series: Series, symbol: str) -> bool:
    return series.symbol == symbol and series.timeframe in TURN


async def ours(path: Path, *, announced: bool) -> float:
    """Rows per second through the store; `announced`: each with its event, as live candles are."""
    made = [
        [
            Batch(
                changes=[change(series, [row]) for series, row in pairs],
                events=[event(series, "candle.closed", row.time, candle=row) for series, row in pairs if announced],
            )
            for _, pairs in group
        ]
        for group in groups(random.Random(1))
    ]
    async with open_store(f"sqlite:///{path}") as store:
        began = perf_counter()
        for batches in made:
            await asyncio.gather(*map(store.transact, batches))
        spent = perf_counter() - began
    return GROUPS * len(SYMBOLS) * len(TURN) / spent


def reference(path: Path) -> float:
    """Rows per second of one statement and one commit per group, as durable as ours."""
    identities = {series: number for number, series in enumerate(SERIES)}
    made = [
        [to_row(identities[series], row, False) for _, pairs in group for series, row in pairs]
        for group in groups(random.Random(1))
    ]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {TABLES}")
    began = perf_counter()
    for rows in made:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    spent = perf_counter() - began
    connection.close()
    return GROUPS * len(SYMBOLS) * len(TURN) / spent


async def writing(folder: Path) -> list[dict[str, Any]]:
    rounds = []
    for number in range(ROUNDS):
        plain = await ours(folder / f"plain-{number}.sqlite", announced=False)
        announced = await ours(folder / f"announced-{number}.sqlite", announced=True)
        rounds.append((plain, announced, reference(folder / f"reference-{number}.sqlite")))
    plain, announced, least = (median(rates) for rates in zip(*rounds, strict=True))
    return [
        {
            "benchmark": "sqlite_write",
            "what": what,
            "rows_per_group": len(SYMBOLS) * len(TURN),
            "rows_per_second": round(found),
            "reference_rows_per_second": round(least),
            "ratio": round(least / found, 2),
        }
        for what, found in (("rows and coverage", plain), ("rows, coverage and events", announced))
    ]


# ---- memory ----


async def memory(folder: Path) -> dict[str, Any]:
    """A second start on the store that a first one filled, each a process of its own; the exchange is in this one."""
    from _market import deep_market
    from livermore_simulator import SimulatedExchange
    from livermore_simulator.quirks import Quirks

    start = time()
    market = deep_market(len(SYMBOLS), start)
    async with SimulatedExchange(market, start=start, quirks=Quirks.none(), public_rate=1000.0) as exchange:
        own: dict[str, Any] = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url, "symbols": ["*-USD"]}
        own["requests_per_second"] = 500.0
        overrides = {"store": f"sqlite:///{folder / 'run.sqlite'}", "exchanges": {"coinbase": own}}
        cold = await asyncio.to_thread(run_child, overrides, folder)
        warm = await asyncio.to_thread(run_child, overrides, folder)
    return {
        "benchmark": "memory",
        "symbols": len(SYMBOLS),
        "timeframes": len(TIMEFRAMES),
        "settled": warm["settled"],
        "mb": warm["greatest"],
        "mb_now": warm["now"],
        "mb_first_start": cold["greatest"],
        "mb_before_imports": warm["bare"],
        "at_least": 200,
        "aim": 90,
    }


def run_child(overrides: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "run", json.dumps(overrides)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIVERMORE_")}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def megabytes(key: str) -> float:
    """From the kernel, of this process image alone: ru_maxrss still counts the parent it was forked from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    raise LookupError(key)


def run(overrides: Mapping[str, Any]) -> None:
    """`livermore start --until-ready`, which reports on itself once it is ready."""
    bare = megabytes("VmRSS")
    from livermore_core import ending, log
    from livermore_core.app import App
    from livermore_core.loading import settings_of

    plugins, settings = settings_of(None, None, overrides=dict(overrides), exchanges=("coinbase",))
    log.configure("json", "error")
    said: dict[str, Any] = {"bare": bare}

    def report(name: str, fields: Mapping[str, Any]) -> None:
        if name == "ready":
            said.update(greatest=megabytes("VmHWM"), now=megabytes("VmRSS"))

    app = App(settings, plugins, until_ready=True, within=50.0, report=report)
    ending.run_to_end(app.run())
    said["settled"] = asyncio.run(settled(settings.store))
    print(json.dumps(said))


async def settled(url: str) -> int:
    """How many series have a settled value: the proof that the run was warm."""
    async with open_store(url, read_only=True) as store:
        return sum([any(value.settled for value in await store.values(series)) for series in await store.series()])


async def measure(folder: Path) -> None:
    print(json.dumps(await disk(folder)), flush=True)
    for figures in await writing(folder):
        print(json.dumps(figures), flush=True)
    print(json.dumps(await memory(folder)), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["run"]:
        run(json.loads(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory(prefix="livermore-bench-") as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
