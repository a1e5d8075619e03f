"""One store on Redis, who follows the exchange and who computes, a standby of each, and whatever happens to them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from apart_reckoning import Follower, behind
from livermore_simulator.server import SimulatedExchange
from livermore_simulator.synthetic import SyntheticMarket
from redis_server import RedisServer, running

from livermore_core import CandleStore, Series, open_reader
from livermore_core.testing import Program

# 2024-01-03 02:31:05 UTC, and when the round begins: no bucket has just ended, or ends soon.
START = 1_704_249_065.0
BEGIN = START + 25.0
PRODUCTS, DAYS = 4, 20
TIMEFRAMES = ("1m", "5m", "15m", "1h")
LEASE = 3.0
# Exchange seconds before the first blow and after the last one.
CALM, QUIET = 180.0, 420.0
# Real seconds after which a process is stuck.
WITHIN = 120.0
LATEST_WAKING = 2.0
HELD = 75
ROLES = {"candles": "backfill,ingest", "values": "indicators"}
# A chain without end of each sort: with a dump and by replay alone, with volumes and without.
CONFIGURATION = """
store = "{store}"
timeframes = {timeframes}
backfill_timeframes = {timeframes}
empty_buckets = "{empty}"
[exchanges.coinbase]
symbols = ["*-USD"]
rest_url = "{rest}"
ws_url = "{ws}"
requests_per_second = 60
[indicators]
macd-v = {{}}
obv = {{}}
vwap = {{}}
supertrend = {{}}
sma = {{}}
"""


class Blow(NamedTuple):
    """What happens to the holder of a role at a moment of exchange time."""

    moment: float
    is_freeze: bool
    # Whether the one that takes over is let get ready before anything else happens.
    is_patient: bool
    # Real seconds from the take-over until a frozen one is woken.
    waking: float


class Taken(NamedTuple):
    """A take-over: real seconds from the blow until another held the role, and until it was live (None: never seen)."""

    role: str
    is_freeze: bool
    seconds: float
    until_ready: float | None


def blows(role: str, kills: int, freezes: int, until: float, seed: int) -> list[Blow]:
    """The blows of a role; what they are depends on the seed alone."""
    chance = Random(f"{seed}:{role}")
    kinds = [False] * kills + [True] * freezes
    chance.shuffle(kinds)
    moments = sorted(chance.uniform(BEGIN + CALM, until) for _ in kinds)
    return [
        Blow(moment, kind, chance.random() < 0.5, chance.uniform(0.0, LATEST_WAKING))
        for moment, kind in zip(moments, kinds, strict=True)
    ]


class Role:
    """Who holds a role and who waits for it."""

    def __init__(self, name: str, start: Callable[[], Program], server: RedisServer) -> None:
        self.name, self.problems = name, list[str]()
        self.taken: list[Taken] = []
        # Take-overs without a blow.
        self.lags = 0
        self.holder = self.standby = start()
        self._start, self._server = start, server
        self._stack = AsyncExitStack()

    async def open(self) -> AsyncExitStack:
        """Both run, and the first one holds."""
        await self._stack.enter_async_context(self.holder)
        await self._seen(self.holder, "stage.started")
        await self._wait_for_another()
        return self._stack

    async def suffer(self, blow: Blow) -> None:
        """Take one blow, and hold who is left to account."""
        await self._steady(blow.is_patient)
        struck, since = self.holder, time.monotonic()
        if blow.is_freeze:
            os.kill(struck.pid, signal.SIGSTOP)
        elif await struck.kill() != -signal.SIGKILL:
            self.problems.append(f"{self.name}: had ended before it was killed: {' / '.join(struck.lines[-3:])}")
        await self._seen(self.standby, "store.taken_over")
        seconds, self.holder = time.monotonic() - since, self.standby
        if blow.is_freeze:
            await self._wake(struck, blow.waking)
        await self._wait_for_another()
        live = await self._steady(is_patient=True) if blow.is_patient else False
        self.taken.append(Taken(self.name, blow.is_freeze, seconds, time.monotonic() - since if live else None))

    async def _steady(self, is_patient: bool) -> bool:
        """The standby waits, and if patient the holder is live. False where the holder was lost on the way.

        On a machine so busy that it could not renew in time: it is taken over as if it had been frozen.
        """
        over = asyncio.ensure_future(self.holder.ended(WITHIN))
        steady = asyncio.ensure_future(self._both(is_patient))
        await asyncio.wait({over, steady}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if steady.done() or (code := over.result()) != HELD:
            if not steady.done():
                raise AssertionError(f"{self.name}: ended with {code}: {' / '.join(self.holder.lines[-4:])}")
            steady.result()
            return True
        steady.cancel()
        self.lags += 1
        self.holder = self.standby
        await self._wait_for_another()
        await self._steady(is_patient)
        return False

    async def _both(self, is_patient: bool) -> None:
        await self._seen(self.standby, "store.standby")
        if is_patient:
            await self._seen(self.holder, "ready")

    async def _seen(self, program: Program, event: str) -> None:
        try:
            await program.event(event, WITHIN)
        except (TimeoutError, EOFError) as error:
            said = [f"{each.pid}: {' / '.join(each.lines[-4:])}" for each in (self.holder, self.standby)]
            raise AssertionError(f"{self.name}: no {event} of {program.pid}: {'; '.join(said)}") from error

    async def _wait_for_another(self) -> None:
        self.standby = await self._stack.enter_async_context(self._start())

    async def _wake(self, woken: Program, after: float) -> None:
        """It was away for longer than its lease: it says who holds the store now, changes nothing, and ends."""
        await asyncio.sleep(after)
        before = self._heads()
        os.kill(woken.pid, signal.SIGCONT)
        code = await woken.ended(WITHIN)
        if code != HELD or not any(f"pid {self.holder.pid} on" in line for line in woken.lines[-3:]):
            self.problems.append(f"{self.name}: woken, it ended with {code}: {' / '.join(woken.lines[-3:])}")
        try:
            async with asyncio.timeout(WITHIN):
                while (holders := await self._holders()) != [self.holder.pid]:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.problems.append(f"{self.name}: woken, it changed the status: {holders}")
        if self._heads() != before:
            self.problems.append(f"{self.name}: woken, it changed who holds: {before} to {self._heads()}")

    def _heads(self) -> list[list[bytes]]:
        with self._server.client() as client:
            keys = sorted(client.scan_iter(f"livermore:*:head:{self.name}"))
            return [client.hmget(key, "owner", "epoch") for key in keys]

    async def _holders(self) -> list[int]:
        """Who says in the status that it holds this."""
        async with open_reader(self._server.url) as store:
            status = await store.read_status() or {}
        return [row["pid"] for row in (status, *status["processes"]) if self.name in row["holds"]]

    async def stop(self) -> None:
        """An orderly end of both, the standby first."""
        for program in (self.standby, self.holder):
            if (code := await program.stop()) != 0:
                self.problems.append(f"{self.name}: ended with {code}: {' / '.join(program.lines[-3:])}")


class Apart:
    """The exchange, the store that is shared with all who work on it, and one process for itself on SQLite.

    That one sees the same market from the same moment on: time stands still until both have their history. Like who
    computes apart it has all of it before it computes, with the last buckets, which come after the backfill.
    """

    def __init__(self, folder: Path, server: RedisServer, seed: int, speed: float, empty: str) -> None:
        market = SyntheticMarket(PRODUCTS, start=START, seed=seed, days=DAYS)
        self.exchange = SimulatedExchange(market, start=START, speed=0, public_rate=200)
        self.series = [Series("coinbase", symbol, timeframe) for symbol in market.products for timeframe in TIMEFRAMES]
        self.url, self.alone = server.url, f"sqlite:///{folder}/alone.sqlite"
        self.roles: list[Role] = []
        self.follower = Follower()
        self._folder, self._server, self._speed, self._empty = folder, server, speed, empty

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Program]:
        """Everybody runs and has the history of the same moment; then time begins. Gives the process for itself."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.exchange)
            await self._follow_for_a_moment()
            for name, stages in ROLES.items():
                role = Role(name, lambda n=name, s=stages: self._program(n, self.url, s), self._server)  # type: ignore[misc]
                self.roles.append(role)
                stack.push_async_exit(await role.open())
                await self._same_history()
            alone = await stack.enter_async_context(self._program("alone", self.alone, "backfill,indicators,ingest"))
            await asyncio.gather(*(each.event("stage.completed", WITHIN) for each in (alone, *self.holders)))
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self.follower.follow(self.url))
                self.exchange.clock.set_speed(self._speed)
                yield alone
                following.cancel()

    @property
    def holders(self) -> list[Program]:
        """Who holds the store now."""
        return [role.holder for role in self.roles]

    async def suffer(self, hours: float, kills: int, freezes: int, seed: int) -> None:
        """All blows, those of each role beside those of the other; at the end all is written, and time stands still."""
        until = BEGIN + hours * 3600
        async with asyncio.TaskGroup() as group:
            for role in self.roles:
                group.create_task(self._suffer(role, blows(role.name, kills, freezes, until, seed)))
        await self._reached(max(until, self.exchange.clock.now() + QUIET))
        await asyncio.gather(*(holder.event("ready") for holder in self.holders))
        await self._caught_up(WITHIN)
        self.exchange.clock.set_speed(0)
        await self._caught_up(WITHIN)

    async def _caught_up(self, within: float) -> None:
        for url in (self.url, self.alone):
            missing: list[str] = []
            try:
                async with asyncio.timeout(within), open_reader(url) as store:
                    while missing := await behind(store, self.series, self.exchange.clock.now()):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
            except TimeoutError:
                raise AssertionError(f"{url}: {'; '.join(missing)}") from None

    async def _follow_for_a_moment(self) -> None:
        async with self._program("alone", self.alone, ROLES["candles"]) as before:
            self.exchange.clock.set_speed(1)
            await before.event("ready", WITHIN)
            await self._reached(BEGIN)
            self.exchange.clock.set_speed(0)
            await before.stop()
        assert self.exchange.clock.now() < BEGIN + 25, "too slow a start to compare what follows"

    async def _same_history(self) -> None:
        async def newest(store: CandleStore) -> list[int]:
            return [candle.time for series in self.series for candle in await store.candles(series, last=1)]

        async with asyncio.timeout(WITHIN), open_reader(self.url) as one, open_reader(self.alone) as other:
            while await newest(one) != await newest(other):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _suffer(self, role: Role, ahead: list[Blow]) -> None:
        for blow in ahead:
            await self._reached(blow.moment)
            await role.suffer(blow)

    async def _reached(self, moment: float) -> None:
        while self.exchange.clock.now() < moment:
            await self.exchange.ticked()

    def _program(self, name: str, store: str, stages: str) -> Program:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        text = CONFIGURATION.format(
            store=store,
            timeframes=list(TIMEFRAMES),
            empty=self._empty,
            rest=self.exchange.rest_url,
            ws=self.exchange.ws_url,
        )
        (folder / "livermore.toml").write_text(text)
        return Program("start", "--stages", stages, "--log-format", "json", directory=str(folder))


@asynccontextmanager
async def prepared(folder: Path, seed: int, speed: float, empty: str) -> AsyncIterator[Apart]:
    """A round on a server of its own."""
    async with running() as server:
        yield Apart(folder, server, seed, speed, empty)
