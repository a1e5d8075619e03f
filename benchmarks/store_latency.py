"""Measures how long a close takes to a consumer in another process: from `transact` called to the event in hand.

Prints one JSON line per store. The consumer waits and reads in a loop, as a program of a user would. The reference, for
Redis, is the least that does the same: XADD of the same bytes here, a blocking XREAD there, by the same client.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable
from statistics import quantiles
from time import monotonic_ns, perf_counter
from typing import Any

import click
from _bare import BARE
from _traffic import SERIES, candle, closed
from livermore_redis import store as redis_store
from livermore_redis.packing import events_of, packed_entry, packed_event
from redis.asyncio import Redis
from redis_server import WHERE, binary, running, short_folder

from livermore_core import Batch, CandleStore
from livermore_core.store import sqlite

LOG = BARE.log(0)
PER_STEP = len(SERIES)
Send = Callable[[Batch], Awaitable[Any]]


# ---- the consumer, a process of its own ----


async def consume(url: str, count: int) -> None:
    """Say that it listens, and then when each of so many events came."""
    came: dict[str, int] = {}
    module: Any = sqlite if url.startswith("sqlite:") else redis_store
    async with module.open_store(url, read_only=True) as opened:
        store: CandleStore = opened
        cursor = await store.head()
        print("listening", flush=True)
        while len(came) < count:
            await store.wait(cursor, 5.0)
            for place, event in await store.events(cursor):
                came[f"{event.series} {event.time}"] = monotonic_ns()
                cursor = place
    print(json.dumps(came))


async def consume_bare(socket: str, count: int) -> None:
    """The same of a bare stream."""
    came: dict[str, int] = {}
    client: Any = Redis(unix_socket_path=socket)
    print("listening", flush=True)
    last: Any = "0"
    while len(came) < count:
        for _, entries in await client.xread({LOG: last}, block=5000) or ():
            last = entries[-1][0]
            for _, fields in entries:
                for event in events_of(fields[b"e"]):
                    came[f"{event.series} {event.time}"] = monotonic_ns()
    await client.aclose()
    print(json.dumps(came))


# ---- the writer ----


async def latencies(role: str, where: str, send: Send, count: int, rate: float) -> list[float]:
    """Milliseconds of each of so many closes, at a steady pace."""
    command = [sys.executable, __file__, role, where, str(count)]
    consumer = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 24)
    assert consumer.stdout is not None
    try:
        async with asyncio.timeout(60.0 + count / rate):
            await consumer.stdout.readline()
            sent = await paced(send, count, rate)
            came = json.loads(await consumer.stdout.readline())
    finally:
        if consumer.returncode is None:
            consumer.kill()
        await consumer.wait()
    return [(came[key] - left) / 1e6 for key, left in sent.items()]


async def paced(send: Send, count: int, rate: float) -> dict[str, int]:
    """Send so many closes, each at its moment and whether or not the one before is through; when each left."""
    chance, sent, began = random.Random(1), dict[str, int](), perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            series = SERIES[number % PER_STEP]
            batch = closed(series, candle(series, number // PER_STEP, chance))
            await asyncio.sleep(max(0.0, began + number / rate - perf_counter()))
            sent[f"{series} {batch.events[0].time}"] = monotonic_ns()
            tasks.create_task(_sent(send, batch))
    return sent


async def _sent(send: Send, batch: Batch) -> None:
    await send(batch)


async def on_redis(count: int, rate: float) -> tuple[list[float], list[float]]:
    """Ours, and the reference."""
    async with running() as server, redis_store.open_store(server.url) as store:
        await store.claim()
        ours = await latencies("consume", server.url, store.transact, count, rate)
        client: Any = Redis(unix_socket_path=str(server.socket))

        async def add(batch: Batch) -> None:
            await client.xadd(LOG, {"e": packed_entry(map(packed_event, batch.events))})

        least = await latencies("consume_bare", str(server.socket), add, count, rate)
        await client.aclose()
    return ours, least


async def on_sqlite(count: int, rate: float) -> list[float]:
    with short_folder() as folder:
        url = f"sqlite:///{folder / 'store.sqlite'}"
        async with sqlite.open_store(url) as store:
            return await latencies("consume", url, store.transact, count, rate)


def quantile(found: list[float], name: str) -> dict[str, float]:
    cuts = quantiles(found, n=100)
    return {f"{name}_p50_ms": round(cuts[49], 2), f"{name}_p99_ms": round(cuts[98], 2)}


async def measure(count: int, rate: float) -> None:
    fixed = {"events": count, "events_per_second": rate}
    ours, least = await on_redis(count, rate)
    figures: dict[str, Any] = {
        "benchmark": "redis_latency",
        **fixed,
        **quantile(ours, "ours"),
        **quantile(least, "bare"),
    }
    figures["ratio_p50"] = round(figures["ours_p50_ms"] / figures["bare_p50_ms"], 2)
    print(json.dumps(figures | {"load": round(os.getloadavg()[0], 1)}), flush=True)
    figures = {"benchmark": "sqlite_latency", **fixed, **quantile(await on_sqlite(count, rate), "ours")}
    print(json.dumps(figures | {"load": round(os.getloadavg()[0], 1)}), flush=True)


@click.command(epilog="Example: python benchmarks/store_latency.py --events 500 --rate 100")
@click.option("--events", default=2000, show_default=True, help="For each store.")
@click.option("--rate", default=100.0, show_default=True, help="Events per second.")
def main(events: int, rate: float) -> None:
    """Latency from a close to a consumer in another process, on Redis and on SQLite."""
    if binary() is None:
        print(json.dumps({"benchmark": "store_latency", "skipped": WHERE}))
        return
    asyncio.run(measure(events, rate))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("consume", "consume_bare"):
        asyncio.run({"consume": consume, "consume_bare": consume_bare}[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
    else:
        main()
