"""The backfill against a server that enforces its limit: time over the ideal floor, refusals, CPU per request.

The reference asks for the same pages at the same pace, decodes and stores their rows, and does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec
from livermore_coinbase.client import GRANULARITIES, open_client
from livermore_coinbase.parse import CandleRow
from livermore_coinbase.settings import CoinbaseSettings
from livermore_simulator import SimulatedExchange, SyntheticMarket

from livermore_core import BackfillConfig, Page, StartupBackfillService
from livermore_core.store.schema import TABLES
from livermore_core.store.sqlite import open_store
from livermore_core.testing import Harness

START = 1_704_270_034.0
# Requests at once that the server tolerates, and that the client is told to use.
BURST = 10
# The reference asks for no more of them.
MOST_PAGES = 600
FIVE = ("5m", "15m", "1h", "4h", "1d")


@click.command()
@click.option("--full", is_flag=True, help="3,000 requests at 10 a second too: five minutes more.")
@click.option("--client", hidden=True)
def main(full: bool, client: str | None) -> None:
    """Print a JSON line per case."""
    if client:
        given = json.loads(client)
        print(json.dumps(asyncio.run(reference(**given) if "pages" in given else fetch(**given))))
        return
    cases = [(125, 10.0), (125, 30.0), (3000, 30.0), *([(3000, 10.0)] if full else [])]
    markets = {125: SyntheticMarket(25, start=START, days=20), 3000: SyntheticMarket(25, start=START, days=27)}
    for requests, rate in cases:
        print(json.dumps(asyncio.run(measure(markets[requests], requests, rate))), flush=True)


async def measure(market: SyntheticMarket, requests: int, rate: float) -> dict[str, Any]:
    """One case: the server here, the client in a process of its own, twice with time held still."""
    with tempfile.TemporaryDirectory() as folder:
        exchange = SimulatedExchange(market, start=START, speed=0, public_rate=rate)
        async with exchange:
            given = {"rest_url": exchange.rest_url, "rate": rate, "store": f"sqlite:///{Path(folder) / 'store.sqlite'}"}
            first = await _in_a_process({**given, "requests": requests})
            before = exchange.candle_requests
            await _in_a_process({**given, "requests": requests})
            again, refused = exchange.candle_requests - before, exchange.statuses[429]
            pages = first.pop("pages")[:MOST_PAGES]
            least = await _in_a_process({**given, "store": str(Path(folder) / "reference.sqlite"), "pages": pages})
    floor = (first["requests"] - BURST) / rate
    return {
        "benchmark": "backfill",
        "series": first["series"],
        "requests": first["requests"],
        "rate": rate,
        "seconds": first["seconds"],
        "floor": round(floor, 3),
        "ratio": round(first["seconds"] / floor, 4),
        "at_least": 1.10 if requests == 125 else 1.05,
        "aim": 1.03 if requests == 125 else 1.015,
        "refused": refused,
        "candles": first["candles"],
        "cpu_ms_per_request": first["cpu_ms_per_request"],
        "reference_cpu_ms": least["cpu_ms_per_request"],
        "cpu_ratio": round(first["cpu_ms_per_request"] / least["cpu_ms_per_request"], 2),
        "cpu_at_least": 4.0,
        "cpu_aim": 2.0,
        "candle_requests_of_a_second_start": again,
    }


async def _in_a_process(given: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", json.dumps(given), stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    printed, _ = await process.communicate()
    found: dict[str, Any] = json.loads(printed)
    return found


async def fetch(rest_url: str, rate: float, store: str, requests: int) -> dict[str, Any]:
    """Backfill with the kit and the Coinbase client; what it took."""
    deep = requests > 125
    timeframes = ("1m",) if deep else FIVE
    config = BackfillConfig(depth=36_000, pages=120, retention=40_000) if deep else BackfillConfig()
    settings = CoinbaseSettings(rest_url=rest_url, requests_per_second=rate, burst=BURST, symbols=("*-USD",))
    pages: list[tuple[str, str, int, int]] = []
    async with open_client(settings) as client, open_store(store, read_only=False) as opened:
        ask = client.candles

        async def candles(*page: Any) -> Page:
            pages.append(page)
            return await ask(*page)

        client.candles = candles  # type: ignore[method-assign, assignment]
        found = Harness(client, opened, settings=settings, backfill_timeframes=timeframes)
        await found.following.prepare(found.context)
        service = StartupBackfillService(found.following.healer, config)
        before, cpu, began = found.following.healer.requests, time.process_time(), time.monotonic()
        failed = await service.backfill(found.following.symbols, timeframes)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        asked = found.following.healer.requests - before
        while found.following.gaps():  # noqa: ASYNC110  # thin series go on, and are no part of the figure
            await asyncio.sleep(0.1)
        await found.stop()
    assert not failed, failed
    return {
        "series": len(found.following.symbols) * len(timeframes),
        "requests": asked,
        "seconds": round(seconds, 3),
        "candles": found.following.recorder.learned,
        "cpu_ms_per_request": round(1000 * cpu / asked, 3) if asked else None,
        "pages": pages[:MOST_PAGES],
    }


class _Answer(msgspec.Struct):
    candles: list[CandleRow]


async def reference(
    rest_url: str, rate: float, store: str, pages: Sequence[tuple[str, str, int, int]]
) -> dict[str, Any]:
    """The same pages by aiohttp, msgspec and sqlite3 alone; what it took."""
    decoder = msgspec.json.Decoder(_Answer, strict=False)
    connection = sqlite3.connect(store, isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {TABLES}")

    def write(number: int, rows: Sequence[CandleRow]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, 0, 2, 0)",
            [(number, row.start, row.open, row.high, row.low, row.close, row.volume) for row in rows],
        )
        connection.execute("COMMIT")

    async def one(number: int, symbol: str, timeframe: str, start: int, end: int) -> None:
        url = f"{rest_url}/api/v3/brokerage/market/products/{symbol}/candles"
        window = {"start": str(start), "end": str(end - 1), "granularity": GRANULARITIES[timeframe], "limit": "350"}
        async with session.get(url, params=window) as answer:
            rows = decoder.decode(await answer.read()).candles
        await asyncio.get_running_loop().run_in_executor(writer, write, number, rows)

    numbers = {series: number for number, series in enumerate(dict.fromkeys(page[:2] for page in map(tuple, pages)))}
    with ThreadPoolExecutor(1) as writer:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as group,
        ):
            cpu = time.process_time()
            for symbol, timeframe, start, end in pages:
                group.create_task(one(numbers[symbol, timeframe], symbol, timeframe, start, end))
                await asyncio.sleep(1.0 / rate)
        cpu = time.process_time() - cpu
    connection.close()
    return {"cpu_ms_per_request": round(1000 * cpu / len(pages), 3)}


if __name__ == "__main__":
    main()
