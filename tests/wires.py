"""livermore with the real Coinbase plugin in this process, on sockets to a simulated exchange in accelerated time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from livermore_coinbase.auth import CorrectedClock
from livermore_coinbase.client import CoinbaseClient
from livermore_coinbase.rest import Rest, rest_session
from livermore_coinbase.stream import Stream, stream_session
from livermore_coinbase.subscription import StreamTiming
from livermore_simulator import Quirks, SimulatedExchange, SyntheticMarket

from livermore_core import ExchangeSettings, Series
from livermore_core.exchange.feed import LiveFeed
from livermore_core.store.sqlite import open_store
from livermore_core.testing import Fault, Harness, Violation, check, harness, look
from livermore_core.testing.checker import compared
from livermore_core.testing.evidence import SETTLED

# 2024-01-03 08:20:34 UTC: on no boundary.
START = 1_704_270_034.0
SEED, PRODUCTS = 11, 3
SPEED, SLOW = 600.0, 60.0
TIMEFRAMES = ("1m", "5m", "15m", "1h")
DEPTH = 60
# Real seconds that a client waits, as much shorter as these runs are.
REST_TOTAL = 0.4
TIMING = StreamTiming(open=0.4, liveness=0.8, acknowledgement=0.3, message_interval=0.05, close=0.1)
PACE = 100.0


class Wired:
    """The running exchange, its client, and the livermore that follows it."""

    def __init__(self, exchange: SimulatedExchange, client: CoinbaseClient, running: Harness) -> None:
        self.exchange, self.client, self.running = exchange, client, running
        self.following = running.following
        self.series = [Series("memory", symbol, frame) for symbol in exchange.market.products for frame in TIMEFRAMES]
        self.compared = 0

    @property
    def now(self) -> float:
        return self.exchange.clock.now()

    @property
    def feed(self) -> LiveFeed:
        assert self.following.feed is not None
        return self.following.feed

    async def until(self, holds: Callable[[], bool]) -> None:
        """Look each time that the exchange's clock has moved, or would have."""
        while not holds():
            await self.exchange.ticked()

    async def passed(self, seconds: float) -> None:
        """Let so many seconds of exchange time pass."""
        moment = self.now + seconds
        await self.until(lambda: self.now >= moment)

    async def played(self) -> None:
        """Everything that was planned has begun and ended."""
        await self.until(lambda: not self.is_busy())

    def is_busy(self) -> bool:
        told = self.exchange.faults.told()
        return bool(told["active"] or told["planned"])

    async def account(self, quiet: float) -> list[Violation]:
        """Live again, `quiet` seconds left alone, and all that is settled known: what does not hold."""
        await self.until(self.following.is_live)
        await self.passed(quiet)
        moment = await self.settle()
        evidence = await look(self.running.store, self.series, now=moment)
        self.compared = compared(evidence, self.truth)
        return check(evidence, self.truth)

    async def settle(self) -> float:
        """Let livermore catch up with a slower exchange, which still beats, and stop it; the moment up to which."""
        self.exchange.clock.set_speed(SLOW)
        await self.until(self._is_whole)
        moment = self.now
        await self.running.stop()
        return moment

    def truth(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        return self.exchange.truth.candles(symbol, timeframe, start, end, self.now)

    def sums(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        """The truth where no native row differs from its parts."""
        return self.exchange.truth.sums(symbol, timeframe, start, end, self.now)

    def _is_whole(self) -> bool:
        """Live, and nothing that ended SETTLED seconds ago is unknown."""
        before = self.now - SETTLED
        return self.following.is_live() and all(
            len(list(ledger.coverage)) == 1 and (ledger.coverage.end or 0) >= int(before // ledger.width) * ledger.width
            for ledger in self.following.recorder.ledgers()
        )


@cache
def market() -> SyntheticMarket:
    """Two busy products and a thin one. Runs only ever extend it."""
    return SyntheticMarket(PRODUCTS, start=START, seed=SEED, days=2)


@asynccontextmanager
async def wired(
    folder: Path, faults: Sequence[Fault] = (), *, quirks: Quirks | None = None, speed: float = SPEED
) -> AsyncIterator[Wired]:
    """An exchange that plays `faults` from its start on, and livermore in front of it, not started yet."""
    exchange = SimulatedExchange(
        market(), start=START, speed=speed, quirks=quirks or Quirks.none(), public_rate=10 * PACE
    )
    async with (
        exchange,
        rest_session(trust_env=False, total=REST_TOTAL) as rest,
        stream_session(trust_env=False) as stream,
        open_store(f"sqlite:///{folder / 'store.sqlite'}") as store,
    ):
        exchange.faults.plan(faults)
        client = CoinbaseClient(
            Rest(rest, exchange.rest_url, CorrectedClock()), Stream(stream, exchange.ws_url, timing=TIMING)
        )
        settings = ExchangeSettings(requests_per_second=PACE)
        own = {"settings": settings, "timeframes": TIMEFRAMES, "backfill_timeframes": TIMEFRAMES[1:], "depth": DEPTH}
        async with harness(client, store, symbols=("*-USD",), **own) as running:
            yield Wired(exchange, client, running)
