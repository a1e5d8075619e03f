"""Hours of an exchange over sockets while the Redis server under the run is harmed in every way: `make storm`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

import aiohttp
import click
from livermore_simulator import Quirks, SimulatedExchange, SyntheticMarket, compare
from msgspec import structs
from redis_server import WHERE, RedisServer, binary, running
from slow_macd_v import slow_macd_v
from storm_consumer import Consumer, broken_promises
from storm_faults import KINDS, OPTIONS, url_of

from livermore_core import Candle, Series, open_reader
from livermore_core.testing import Evidence, Program, look
from livermore_core.testing.checker import CHECKS

# 2024-01-03 02:30:34 UTC.
START, DAYS = 1_704_249_034.0, 40
TIMEFRAMES = ("1m", "5m", "15m", "1h")
REQUESTS_PER_SECOND = 60
# Real seconds until a run has named a fault, and until it is well again.
WITHIN = 180.0
SHOWN = 30
# Exchange seconds that it is left alone between two faults, at least and at most.
CALM = (60.0, 900.0)
# Of what is stored in the end. What was announced, its consumer is asked.
HELD, OF_VALUES = ("S2", "S4", "S5", "S9"), ("I2", "I3", "I4", "I5")


class Suffered(NamedTuple):
    """One fault: how it was named, for how long it was said to have lasted, and the seconds until all was well."""

    kind: str
    reason: str
    said: float
    healing: float
    in_status: bool


class Storm:
    """An exchange, a server, livermore on both, and a consumer beside it."""

    def __init__(self, server: RedisServer, seed: int, speed: float, products: int, freeze: float) -> None:
        market = SyntheticMarket(products, start=START, seed=seed, days=DAYS)
        self.exchange = SimulatedExchange(
            market, start=START, speed=speed, quirks=Quirks.all(), public_rate=2 * REQUESTS_PER_SECOND
        )
        self.series = [Series("coinbase", symbol, timeframe) for symbol in market.products for timeframe in TIMEFRAMES]
        self.url = url_of(server)
        self.consumer = Consumer(self.url, self.series)
        self.suffered: list[Suffered] = []
        self._server, self._freeze, self._chance = server, freeze, random.Random(seed)

    async def play(self, hours: float, kinds: list[str]) -> dict[str, Any]:
        """Every kind once in any order, and again until the hours are over; what it came to."""
        began = time.monotonic()
        async with self.exchange, self._livermore() as livermore:
            await livermore.event("ready", WITHIN)
            async with self._beside(self.consumer.run()):
                until = self.exchange.clock.now() + hours * 3600.0
                while self.exchange.clock.now() < until or not self.suffered:
                    for kind in self._chance.sample(kinds, len(kinds)):
                        await self._calm()
                        await self.suffer(livermore, kind)
                        if self.exchange.clock.now() > until and {each.kind for each in self.suffered} >= {*kinds}:
                            break
                await self._calm()
            # From here on one alone reads with the consumer's cursor.
            simulated = self.exchange.clock.now() - until + hours * 3600.0
            result = await self._reckon()
            code = await livermore.stop()
        if code:
            result["violations"].append(f"exit {code}: {' / '.join(livermore.lines[-5:])}")
        return {"hours": round(simulated / 3600.0, 1), "seconds": round(time.monotonic() - began, 1), **result}

    async def suffer(self, livermore: Program, name: str) -> None:
        """One fault, from its beginning until all is well. Raises TimeoutError with the last words of the run."""
        try:
            await self._suffer(livermore, name)
        except TimeoutError as error:
            lately = "\n".join(livermore.lines[-SHOWN:])
            raise TimeoutError(f"{name}: {error or 'not named'}; the run said last:\n{lately}") from None

    async def _suffer(self, livermore: Program, name: str) -> None:
        kind, since, seen = KINDS[name], time.time(), Counter(event["event"] for event in livermore.events)
        told: list[dict[str, Any]] = []

        async def named() -> None:
            told.append(await _said(livermore, kind.begins, kind.reasons, seen[kind.begins]))

        await kind.harm(self._server, named, self._freeze)
        ended, wall = time.monotonic(), time.time()
        over = await _said(livermore, kind.ends, None, seen[kind.ends])
        await self.consumer.live(wall, WITHIN)
        in_status = bool(kind.reasons & self.consumer.reasons(since))
        healing = time.monotonic() - ended
        self.suffered.append(Suffered(name, told[0]["reason"], over["seconds"], healing, in_status))
        click.echo(
            f"{name}: {told[0]['reason']}, over after {over['seconds']:g} s, well {healing:.1f} s after its end,"
            f" {'in' if in_status else 'not in'} the status"
        )

    async def _calm(self) -> None:
        async with aiohttp.ClientSession() as session:
            moment = self.exchange.clock.now() + self._chance.uniform(*CALM)
            await session.get(f"{self.exchange.control_url}/reached?moment={moment}")

    async def _reckon(self) -> dict[str, Any]:
        """Hold time still, and everything against the truth."""
        compared = await compare(self.url, self.exchange.control_url)
        async with open_reader(self.url) as store:
            await self.consumer.take(store)
            evidence = await look(store, self.series, now=self.exchange.clock.now(), references={"macd-v": slow_macd_v})
        recalled = self._recalled(evidence)
        violations = [f"{name}: {what}" for name in HELD for what in CHECKS[name](evidence)]
        violations += [f"{name}: {what}" for name in OF_VALUES for what in CHECKS[name](recalled)]
        violations += [f"E: {what}" for what in broken_promises(self.consumer, evidence)]
        return {
            "series": compared.series,
            "rows": compared.rows,
            "rows_of_the_truth": compared.expected,
            "differences": compared.differences,
            "violations": violations,
            "faults": dict(Counter(each.kind for each in self.suffered)),
            "in_status": dict(Counter(each.kind for each in self.suffered if each.in_status)),
            "healing": {each.kind: round(each.healing, 1) for each in sorted(self.suffered, key=lambda s: s.healing)},
            "events_read": sum(len(part.events) for part in self.consumer.parts),
            "readers_refused": self.consumer.refused,
            "cursors_expired": self.consumer.expired,
        }

    def _recalled(self, evidence: Evidence) -> Evidence:
        """With the true candles before all that is stored: values may have been made of what was evicted since."""
        rows, coverage = dict(evidence.rows), dict(evidence.coverage)
        for series in self.series:
            start = coverage[series].start or 0
            truth = self.exchange.truth.candles(series.symbol, series.timeframe, 0, start, evidence.now)
            if older := [Candle(*row) for row in truth]:
                rows[series] = [*older, *rows[series]]
                coverage[series] = coverage[series].copy()
                coverage[series].add(older[0].time, start)
        return structs.replace(evidence, rows=rows, coverage=coverage)

    def _livermore(self) -> Program:
        own = "LIVERMORE_EXCHANGES__COINBASE__"
        return Program(
            *("start", "--log-format", "json"),
            directory=str(self._server.folder),
            env={
                "LIVERMORE_STORE": self.url,
                "LIVERMORE_TIMEFRAMES": ",".join(TIMEFRAMES),
                "LIVERMORE_BACKFILL_TIMEFRAMES": ",".join(TIMEFRAMES),
                f"{own}REST_URL": self.exchange.rest_url,
                f"{own}WS_URL": self.exchange.ws_url,
                f"{own}SYMBOLS": "*-USD",
                f"{own}REQUESTS_PER_SECOND": str(REQUESTS_PER_SECOND),
            },
        )

    @asynccontextmanager
    async def _beside(self, other: Any) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(other)
            yield
            task.cancel()


async def _said(livermore: Program, event: str, reasons: frozenset[str] | None, before: int) -> dict[str, Any]:
    """The first event of that name after `before` others, for one of these reasons. Raises TimeoutError, EOFError."""
    async with asyncio.timeout(WITHIN):
        for number in count(before + 1):
            said = await livermore.event(event, WITHIN, count=number)
            if reasons is None or said.get("reason") in reasons:
                return said
    raise AssertionError


async def run(
    hours: float, speed: float, seed: int, products: int = 4, freeze: float = 30.0, kinds: list[str] | None = None
) -> dict[str, Any]:
    """One storm and its figures."""
    async with running(*OPTIONS, persistent=True) as server:
        storm = Storm(server, seed, speed, products, freeze)
        return {"seed": seed, "speed": speed, "products": products, **await storm.play(hours, kinds or list(KINDS))}


@click.command(epilog="Example: tests/storm.py --hours 6 --speed 300 --seed 7")
@click.option("--hours", default=48.0, show_default=True, help="Of exchange time, at least.")
@click.option("--speed", default=600.0, show_default=True, help="Exchange seconds in a second.")
@click.option("--seed", default=1, show_default=True, help="Of the market, its quirks and the faults.")
@click.option("--products", default=4, show_default=True)
@click.option("--freeze", default=30.0, show_default=True, help="Seconds that the server is frozen.")
@click.option("--at", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="This kind of fault only.")
def main(hours: float, speed: float, seed: int, products: int, freeze: float, kinds: tuple[str, ...]) -> None:
    """Print a line per fault and a summary; exit 1 where anything does not hold."""
    if binary() is None:
        raise click.ClickException(WHERE)
    result = asyncio.run(run(hours, speed, seed, products, freeze, list(kinds)))
    click.echo(json.dumps(result))
    sys.exit(1 if result["differences"] or result["violations"] else 0)


if __name__ == "__main__":
    main()
