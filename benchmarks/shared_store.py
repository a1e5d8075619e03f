"""Measures the stores beside the least that writes the same bytes: stored and announced candles, on Redis and SQLite.

Prints one JSON line for each store and pattern. `live`: a candle in a batch, 100 batches in flight; `history`: pages of
300 candles, 5 in flight. `share` is the time of what `share_of` says, divided by ours: the median of those of the
rounds, in which all take turns; `cpu_share` the same of the CPU of client and server together. On Redis `strict_share`
and `strict_cpu_share` are the same of a stricter limit, which `strict_share_of` says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple, Protocol

import click
from _bare import BareRedis, BareSqlite
from _traffic import Group, history, live
from livermore_redis import store as redis_store
from redis_server import WHERE, RedisServer, binary, running, short_folder

from livermore_core import CandleStore
from livermore_core.store import sqlite

PATTERNS: dict[str, Callable[[], Iterator[Group]]] = {"live": live, "history": history}
# Groups of a round: what is measured in one go.
WARM_UP = 2
SIZES = {"live": 5, "history": 2}
# What the shares are of.
LIMITS = {
    "redis": "a bare EVALSHA per batch, a group in one round trip, rows packed while the clock runs",
    "sqlite": "a bare batched upsert per table and group, in one transaction",
}
STRICT = "a bare EVALSHA per shard and group, a group in one round trip, rows packed beforehand"
Write = Callable[[], Awaitable[None]]


class Way(Protocol):
    """One way to write groups of batches."""

    def prepare(self, groups: Sequence[Group]) -> None: ...

    async def write(self) -> None: ...


class Cost(NamedTuple):
    """Seconds: by the clock, of CPU here, of CPU in the server."""

    wall: float
    client: float
    server: float


# What each way cost, by its name, in each round.
Costs = list[dict[str, Cost]]


class Meter:
    """Runs a part of the work and tells what it cost; without a server, that costs nothing."""

    def __init__(self, server: RedisServer | None) -> None:
        self._client = server.client() if server is not None else None

    async def cost(self, write: Write) -> Cost:
        """What it costs to write what was prepared."""
        server, client, began = self._server_cpu(), process_time(), perf_counter()
        await write()
        wall, spent = perf_counter() - began, process_time() - client
        return Cost(wall, spent, self._server_cpu() - server)

    def _server_cpu(self) -> float:
        if self._client is None:
            return 0.0
        said = self._client.info("cpu")
        return float(said["used_cpu_user"] + said["used_cpu_sys"])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class Ours:
    """The batches of a group, all in flight at once."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store

    def prepare(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    async def write(self) -> None:
        for group in self._groups:
            await asyncio.gather(*map(self._store.transact, group))


async def turns(meter: Meter, ways: Mapping[str, Way], pattern: str, rounds: int) -> Costs:
    """All write the same, made just before, one after the other, in an order that turns. The first rounds warm up."""
    made, found = PATTERNS[pattern](), []
    names = list(ways)
    for number in range(rounds + WARM_UP):
        groups = list(islice(made, SIZES[pattern]))
        for way in ways.values():
            way.prepare(groups)
        first = number % len(names)
        found.append({name: await meter.cost(ways[name].write) for name in names[first:] + names[:first]})
    return found[WARM_UP:]


async def on_redis(pattern: str, rounds: int) -> Costs:
    async with running() as server, redis_store.open_store(server.url) as store:
        await store.claim()
        meter = Meter(server)
        bare, strict = BareRedis(server.socket, strict=False), BareRedis(server.socket, strict=True)
        await bare.open()
        found = await turns(meter, {"ours": Ours(store), "bare": bare, "strict": strict}, pattern, rounds)
        meter.close()
        await bare.close()
        await strict.close()
    return found


async def on_sqlite(pattern: str, rounds: int) -> Costs:
    with short_folder() as folder:
        bare = BareSqlite(folder / "bare.sqlite")
        async with sqlite.open_store(f"sqlite:///{folder / 'ours.sqlite'}") as store:
            found = await turns(Meter(None), {"ours": Ours(store), "bare": bare}, pattern, rounds)
        await bare.close()
    return found


def figures(store: str, pattern: str, found: Costs) -> dict[str, Any]:
    """The line of a store and a pattern."""
    groups = list(islice(PATTERNS[pattern](), SIZES[pattern]))
    rows = sum(len(change.rows) for group in groups for batch in group for change in batch.changes)
    line = {
        "benchmark": f"{store}_write",
        "pattern": pattern,
        "rows_per_batch": len(groups[0][0].changes[0].rows),
        "in_flight": len(groups[0]),
        "candles_per_second": round(rows / median(each["ours"].wall for each in found)),
        "bare_candles_per_second": round(rows / median(each["bare"].wall for each in found)),
        "share_of": LIMITS[store],
        "share": share(found, "bare", lambda cost: cost.wall),
        "cpu_share": share(found, "bare", lambda cost: cost.client + cost.server),
        "at_least": 0.5,
    }
    if "strict" in found[0]:
        line["strict_share_of"] = STRICT
        line["strict_share"] = share(found, "strict", lambda cost: cost.wall)
        line["strict_cpu_share"] = share(found, "strict", lambda cost: cost.client + cost.server)
    for name in found[0]:
        line[f"{name}_client_us_per_row"] = round(median(each[name].client for each in found) / rows * 1e6, 2)
        if store == "redis":
            line[f"{name}_server_us_per_row"] = round(median(each[name].server for each in found) / rows * 1e6, 2)
    return line


def share(found: Costs, least: str, of: Callable[[Cost], float]) -> float:
    """What the least takes of what ours takes."""
    return round(median(of(each[least]) / of(each["ours"]) for each in found), 2)


async def measure(rounds: int) -> None:
    for pattern in PATTERNS:
        for store, measured in (("redis", on_redis), ("sqlite", on_sqlite)):
            print(json.dumps(figures(store, pattern, await measured(pattern, rounds))), flush=True)


@click.command(epilog="Example: python benchmarks/shared_store.py --rounds 5")
@click.option("--rounds", default=40, show_default=True, help="Of each store and pattern; medians are told.")
def main(rounds: int) -> None:
    """Stored and announced candles per second, on Redis and on SQLite, beside the least that writes the same bytes."""
    if binary() is None:
        print(json.dumps({"benchmark": "shared_store", "skipped": WHERE}))
        return
    asyncio.run(measure(rounds))


if __name__ == "__main__":
    main()
