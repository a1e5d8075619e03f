"""One store, its exchange, the processes that are killed on it one after the other, and what is held against them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aftermath import Consumer, Journal, judge, left_open, still_kept
from livermore_simulator.market import Market
from livermore_simulator.quirks import Quirks
from livermore_simulator.server import SimulatedExchange
from livermore_simulator.synthetic import SyntheticMarket
from slow_macd_v import slow_macd_v

from livermore_core import Series, StoreAbsentError, StoreError, open_reader, width
from livermore_core.testing import Fault, Program, Violation, check, look
from livermore_core.testing.checker import compared
from livermore_core.testing.evidence import SETTLED

# 2024-01-03 02:30:34 UTC: the seam begins at midnight, so that soon there are enough minutes to be trimmed.
START = 1_704_249_034.0
DAYS = 8
PRODUCTS = 3
TIMEFRAMES = ("1m", "5m", "15m", "1h")
DEPTH, MINUTES_KEPT = 100, 300
KEEP = {"1m": MINUTES_KEPT}
REQUESTS_PER_SECOND = 60
# So long it takes at most until a point is reached, or until everything is known, in real seconds.
WITHIN = 60.0
RANDOM = "random"
LOOK_EVERY = 0.05
LOSE_EVERY = 0.4
# Exchange seconds that livermore is left alone before the store is held against the truth.
QUIET = 300.0
# After so many exchange seconds there is history to fetch.
DOWNTIME = 450.0


class Kill(NamedTuple):
    """One kill: the `nth` time that `point` is reached, or `after` seconds."""

    point: str
    nth: int
    after: float
    # Whether the consumer's connection outlives the process that is killed, or is made anew for every look.
    stays: bool
    # Whether frames are lost meanwhile.
    loses: bool

    def __str__(self) -> str:
        return f"{self.point} after {self.after:.2f} s" if self.point == RANDOM else f"{self.point}:{self.nth}"


class Round:
    """The exchange, the store in `folder`, and everybody who is killed or looks on."""

    def __init__(self, folder: Path, seed: int, speed: float) -> None:
        market: Market = SyntheticMarket(PRODUCTS, start=START, seed=seed, days=DAYS)
        self.exchange = SimulatedExchange(
            market, start=START, speed=speed, quirks=Quirks.all(), public_rate=2 * REQUESTS_PER_SECOND
        )
        self.path, self._folder, self._runs = folder / "store.sqlite", folder, 0
        self.series = [Series("coinbase", symbol, timeframe) for symbol in market.products for timeframe in TIMEFRAMES]
        self.journal, self.consumer = Journal(), Consumer(f"sqlite:///{self.path}")
        self.unreached: Counter[str] = Counter()
        self.compared = 0

    async def kill(self, kill: Kill) -> list[Violation]:
        """Start livermore, have it killed, and look at what is left."""
        if self._runs and kill.point == "backfill.learn":
            await self._reached(self.exchange.clock.now() + DOWNTIME)
        options = [] if kill.point == RANDOM else ["--at", kill.point, "--nth", str(kill.nth)]
        async with self._livermore(*options) as livermore, self._beside(self._follow(kill.stays), self._lose(kill)):
            found = await self._die(livermore, kill)
        return found + await self.account()

    async def finish(self) -> list[Violation]:
        """Let livermore run until it is live and complete, and hold its store against the truth."""
        async with self._livermore() as livermore, self._beside(self._follow(stays=True)):
            await livermore.event("ready")
            await self._reached(self.exchange.clock.now() + QUIET)
            self.exchange.clock.set_speed(0)
            found = [] if await self._is_complete() else [Violation("H5", f"not complete {WITHIN:g} s after the last")]
            async with open_reader(f"sqlite:///{self.path}") as store:
                references = {"macd-v": slow_macd_v}
                evidence = await look(
                    store, self.series, now=self.exchange.clock.now(), references=references, trimmed=True
                )
            found += check(still_kept(evidence), self._truth)
            found += [Violation("E1", what) for what in left_open(evidence)]
            code = await livermore.stop()
        found += _unless(code == 0, code, livermore)
        self.compared = compared(evidence, self._truth)
        return found + await self.account()

    async def account(self) -> list[Violation]:
        """Hold what is on the disk against what was acknowledged and what was read."""
        self.journal.add(self._journal_path)
        try:
            await self.consumer.catch_up()
        except StoreAbsentError:
            was_there = bool(self.consumer.read or self.journal.acknowledged)
            return [Violation("S3", "the whole store is gone")] if was_there else []
        return await judge(self.path, self.series, self.journal, self.consumer, KEEP)

    # ---- processes ----

    @property
    def _journal_path(self) -> Path:
        return self._folder / f"journal-{self._runs}"

    def _livermore(self, *options: str) -> Program:
        self._runs += 1
        return Program(
            str(Path(__file__).with_name("crashing.py")),
            *("--journal", str(self._journal_path), *options, "--", "start", "--log-format", "json"),
            python=(),
            directory=str(self._folder),
            env={
                "LIVERMORE_STORE": f"sqlite:///{self.path}",
                "LIVERMORE_DEPTH": str(DEPTH),
                "LIVERMORE_TIMEFRAMES": ",".join(TIMEFRAMES),
                "LIVERMORE_RETENTION__1M": str(MINUTES_KEPT),
                "LIVERMORE_EXCHANGES__COINBASE__REST_URL": self.exchange.rest_url,
                "LIVERMORE_EXCHANGES__COINBASE__WS_URL": self.exchange.ws_url,
                "LIVERMORE_EXCHANGES__COINBASE__SYMBOLS": "*-USD",
                "LIVERMORE_EXCHANGES__COINBASE__REQUESTS_PER_SECOND": str(REQUESTS_PER_SECOND),
            },
        )

    async def _die(self, livermore: Program, kill: Kill) -> list[Violation]:
        """Have it die as `kill` says; any other end is a violation."""
        if kill.point == RANDOM:
            await asyncio.sleep(kill.after)
            code = await livermore.kill()
            return _unless(code == -9, code, livermore)
        try:
            code = await livermore.ended(WITHIN)
        except TimeoutError:
            self.unreached[kill.point] += 1
            return [Violation("P05", f"{kill} was not reached within {WITHIN:g} s")]
        return _unless(code == -9, code, livermore)

    @asynccontextmanager
    async def _beside(self, *others: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Others at work inside the block."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(other) for other in others]
            yield
            for task in tasks:
                task.cancel()

    async def _lose(self, kill: Kill) -> None:
        """Lose a frame now and then, so that candles are taken back, and doubted ones are on the disk when it dies."""
        while kill.loses:
            await asyncio.sleep(LOSE_EVERY)
            self.exchange.faults.plan([Fault(kind="ws.seq", how="skip")])

    async def _follow(self, stays: bool) -> None:
        """Look again and again, as the log of another process cannot wake its readers."""
        while True:
            try:
                async with open_reader(f"sqlite:///{self.path}") as store:
                    await self.consumer.take(store)
                    while stays:
                        await asyncio.sleep(LOOK_EVERY)
                        await self.consumer.take(store)
            except StoreAbsentError:
                pass
            except StoreError as error:
                self.consumer.problems.append(f"a reader was refused: {error}")
            await asyncio.sleep(LOOK_EVERY)

    # ---- what is true ----

    async def _reached(self, moment: float) -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(f"{self.exchange.control_url}/reached?moment={moment}")

    async def _is_complete(self) -> bool:
        """Whether livermore says that it is live, and nothing is unknown, before WITHIN is over."""
        before = self.exchange.clock.now() - SETTLED
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN), open_reader(f"sqlite:///{self.path}") as store:
                while True:
                    status: Any = await store.read_status()
                    known = {each: list(await store.coverage(each)) for each in self.series}
                    if status["state"] == "LIVE" and all(_is_whole(*each, before) for each in known.items()):
                        return True
                    await asyncio.sleep(LOOK_EVERY)
        return False

    def _truth(self, symbol: str, timeframe: str, start: int, end: int) -> list[Any]:
        return self.exchange.truth.candles(symbol, timeframe, start, end, self.exchange.clock.now())


def _unless(right: bool, code: int, livermore: Program) -> list[Violation]:
    return [] if right else [Violation("V1", f"exit {code}: {' / '.join(livermore.lines[-5:])}")]


def _is_whole(series: Series, known: list[tuple[int, int]], before: float) -> bool:
    wide = width(series.timeframe)
    return len(known) == 1 and known[0][1] >= int(before // wide) * wide
