"""Measures ways to keep candles in Redis: bytes per 1,000 candles, and what it takes to upsert and to read them.

Prints one JSON line. Each way does the same: upsert one candle, upsert a page of 300 by one script, read the newest 200
in one round trip. A list and a stream cannot be upserted, only appended to: they are there to compare. Operations are
those of one plain blocking client, packing included; the ways take turns, and medians are told.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import click
from _encodings import NEWEST, SCRIPTS, STEP, WAYS, Row, Way
from redis_server import WHERE, binary, running

SERIES, PAGE = 60, 300
LENGTHS = (350, 2000)
START = 1_790_000_000 // STEP * STEP
# By series number: its candles without end.
Source = Callable[[int], Iterator[Row]]


# ---- the candles ----


def synthetic(number: int) -> Iterator[Row]:
    """A walk whose prices have cents, and volumes hundred-millionths, a minute apart."""
    chance, close, time = random.Random(number), 40_000.0, START
    while True:
        opening, close = close, round(close * (1.0 + chance.gauss(0.0, 0.001)), 2)
        high, low = round(max(opening, close) + 1.5, 2), round(min(opening, close) - 1.5, 2)
        yield time, opening, high, low, close, round(chance.uniform(0.0, 50.0), 8)
        time += STEP


def recorded(paths: Sequence[Path], number: int) -> Iterator[Row]:
    """The rows of a recorded file (time, open, high, low, close, volume), over and over, a minute apart."""
    with gzip.open(paths[number % len(paths)], "rt") as file:
        rows = [line[1:6] for line in csv.reader(file) if line[0].isdecimal()]
    time = START
    while True:
        for row in rows:
            opening, high, low, close, volume = map(float, row)
            yield time, opening, high, low, close, volume
            time += STEP


# ---- the measurement ----


def filled(client: Any, way: Way, series: Sequence[Sequence[Row]], length: int) -> dict[str, int]:
    """Write the series page by page; bytes per 1,000 candles by key, and by what the server uses in all."""
    client.flushall()
    before = int(client.info("memory")["used_memory"])
    for number, rows in enumerate(series):
        for first in range(0, length, PAGE):
            way.upsert(f"candles:{number}", rows[first : min(length, first + PAGE)])
    thousands = SERIES * length / 1000.0
    used = int(client.info("memory")["used_memory"]) - before
    by_key = sum(int(client.memory_usage(key, samples=0)) for key in client.scan_iter())
    return {"bytes": round(by_key / thousands), "bytes_used": round(used / thousands)}


def timed(way: Way, series: Sequence[Sequence[Row]], length: int) -> dict[str, float]:
    """Microseconds of each operation, on series that are there, with the candles after them.

    Of the fastest tenth: what else the machine did is not theirs.
    """
    found = defaultdict[str, list[float]](list)

    def spend(name: str, act: Callable[[], object]) -> None:
        began = perf_counter()
        act()
        found[name].append((perf_counter() - began) * 1e6)

    for row in series[0][length : length + NEWEST]:
        spend("upsert_one", partial(way.upsert, "candles:0", [row]))
        spend("newest_200", partial(way.newest, "candles:0"))
    for number, rows in enumerate(series[1:], start=1):
        spend("upsert_300", partial(way.upsert, f"candles:{number}", rows[length:]))
    return {name: quantiles(times, n=10)[0] for name, times in found.items()}


def measure(client: Any, source: Source, rounds: int) -> dict[str, Any]:
    client.digests = {script: client.script_load(script) for script in SCRIPTS}
    line: dict[str, Any] = {"benchmark": "redis_encodings", "series": SERIES}
    for length in LENGTHS:
        series = [list(islice(source(number), length + PAGE)) for number in range(SERIES)]
        sizes: dict[str, dict[str, int]] = {}
        times = defaultdict[str, list[dict[str, float]]](list)
        for _ in range(rounds):
            for name, make in WAYS.items():
                way = make(client)
                sizes[name] = filled(client, way, series, length)
                times[name].append(timed(way, series, length))
        line[f"candles_{length}"] = {name: size | per_second(times[name]) for name, size in sizes.items()}
    return line


def per_second(rounds: Sequence[dict[str, float]]) -> dict[str, int]:
    """Operations per second, of the medians of the rounds."""
    return {f"{name}_per_s": round(1e6 / median(each[name] for each in rounds)) for name in rounds[0]}


async def run(source: Source, rounds: int) -> dict[str, Any]:
    async with running() as server:
        with server.client() as client:
            return await asyncio.to_thread(measure, client, source, rounds)


@click.command(epilog="Example: python benchmarks/redis_encodings.py --rounds 1")
@click.option("--rounds", default=2, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="A folder of recorded *_1m_*.csv.gz; synthetic if not.")
def main(rounds: int, data: Path | None) -> None:
    """Bytes per 1,000 candles and operations per second, of ways to keep candles in Redis."""
    if binary() is None:
        print(json.dumps({"benchmark": "redis_encodings", "skipped": WHERE}))
        return
    source = synthetic if data is None else partial(recorded, sorted(data.glob("*_1m_*.csv.gz")))
    print(json.dumps(asyncio.run(run(source, rounds))))


if __name__ == "__main__":
    main()
