"""Measures what a candle takes in each store: rows, coverage, log and values apart. Prints one JSON line per store.

Every series has two pages of history, announced as ranges, and candles that closed live, each announced, with a value
of MACD-V that is announced too.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from _traffic import PAGE, SERIES, Group, candle, closed, page
from livermore_redis import store as redis_store
from redis_server import WHERE, RedisServer, binary, running, short_folder

from livermore_core import Batch, CandleStore, Event, IndicatorValue, Series, SeriesChange
from livermore_core.store import sqlite

PAGES, LIVE = 2, 20
CANDLES, EVENTS = len(SERIES) * (PAGES * PAGE + LIVE), len(SERIES) * (PAGES + 2 * LIVE)
# Of SQLite's tables and their indexes: what is in them.
PARTS = {"candles": "candles", "coverage": "coverage", "events": "log", "indicator_values": "values"}


def groups() -> Iterator[Group]:
    """All that is written."""
    chance = random.Random(3)
    for number in range(PAGES):
        yield [page(series, number, chance) for series in SERIES]
    for position in range(PAGES * PAGE, PAGES * PAGE + LIVE):
        rows = [(series, candle(series, position, chance)) for series in SERIES]
        yield [closed(series, row) for series, row in rows]
        yield [valued(series, row.time, row.open) for series, row in rows]


def valued(series: Series, time: int, price: float) -> Batch:
    """A value and its announcement."""
    outputs = dict[str, float | str | int | None](macd_v=price / 7, signal=price / 9, histogram=price / 11)
    outputs |= {"zone": "neutral", "stage": "rebounding", "bars_in_stage": 7}
    value = IndicatorValue(indicator="macd-v", time=time, outputs=outputs, settled=True, have=34, need=34, since=time)
    exchange, symbol, timeframe = series
    said = Event(
        kind="indicator.value", exchange=exchange, symbol=symbol, timeframe=timeframe, time=time, value=value
    )  # fmt: skip
    return Batch(changes=[SeriesChange(series=series, values=[value])], events=[said])


async def fill(store: CandleStore) -> None:
    for group in groups():
        await asyncio.gather(*map(store.transact, group))


async def on_redis() -> Counter[str]:
    """Bytes by part, as the server counts them for each key."""
    async with running() as server:
        async with redis_store.open_store(server.url) as store:
            await store.claim()
            await fill(store)
        return await asyncio.to_thread(by_key, server)


def by_key(server: RedisServer) -> Counter[str]:
    found = Counter[str]()
    with server.client() as client:
        for key in client.scan_iter():
            found[key.decode().split(":")[2] if b"{" in key else "store"] += int(client.memory_usage(key, samples=0))
    return found


async def on_sqlite() -> Counter[str]:
    """Bytes by part: the pages of each table, and of its indexes."""
    with short_folder() as folder:
        path = folder / "store.sqlite"
        async with sqlite.open_store(f"sqlite:///{path}") as store:
            await fill(store)
        return by_table(path)


def by_table(path: Path) -> Counter[str]:
    connection = sqlite3.connect(path)
    found = Counter[str]({"all": path.stat().st_size})
    try:
        rows = connection.execute(
            "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) GROUP BY 1"
        ).fetchall()
    except sqlite3.OperationalError:
        rows = []  # this build of SQLite does not tell
    connection.close()
    for table, size in rows:
        found[PARTS.get(table, "other")] += size
    return found


def line(store: str, found: Counter[str]) -> dict[str, Any]:
    every = found.pop("all", 0) or found.total()
    return {
        "benchmark": f"{store}_bytes",
        "candles": CANDLES,
        "events": EVENTS,
        "bytes_per_1000_candles": round(1000 * (found["candles"] + found["coverage"]) / CANDLES),
        "candles_only": round(1000 * found["candles"] / CANDLES),
        "coverage_bytes_per_series": round(found["coverage"] / len(SERIES)),
        "log_bytes_per_1000_events": round(1000 * found["log"] / EVENTS),
        "bytes_per_value": round(found["values"] / len(SERIES)),
        "all_bytes_per_1000_candles": round(1000 * every / CANDLES),
    }


async def measure() -> None:
    print(json.dumps(line("redis", await on_redis()) | {"at_most": 75 * 1024}), flush=True)
    print(json.dumps(line("sqlite", await on_sqlite())), flush=True)


@click.command(epilog="Example: python benchmarks/store_bytes.py")
def main() -> None:
    """Bytes per 1,000 candles, on Redis and in SQLite."""
    if binary() is None:
        print(json.dumps({"benchmark": "store_bytes", "skipped": WHERE}))
        return
    asyncio.run(measure())


if __name__ == "__main__":
    main()
