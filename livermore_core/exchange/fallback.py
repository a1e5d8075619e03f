"""While the feed is lost the exchange is asked for what it would have told: once a minute, every symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from livermore_core.errors import CredentialsError, ExchangeError
from livermore_core.exchange.feed import LOST_FOR, LiveFeed
from livermore_core.market.proof import RECHECK_DELAY
from livermore_core.market.tape import STEP

LOOK_EVERY = 5.0


class Fallback:
    """Wants the minutes from the edge of each series up to the last one of which REST may speak.

    Where the exchange does not even tell its time, nothing else is asked.
    """

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed

    async def run(self, ready: Callable[[], None]) -> None:
        """Look every few seconds whether the feed is lost, for ever."""
        ready()
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if loop.time() >= due and self._feed.lost_for() >= LOST_FOR:
                due = loop.time() + await self._ask()

    async def _ask(self) -> float:
        """Have everything asked for that can be proven now; the seconds until there is more."""
        try:
            moment = await self._feed.healer.time()
        except (ExchangeError, CredentialsError):
            return float(STEP)
        end = int((moment - RECHECK_DELAY) // STEP) * STEP
        self._want(end)
        return end + STEP + RECHECK_DELAY - moment

    def _want(self, end: int) -> None:
        recorder = self._feed.recorder
        for symbol in self._feed.symbols:
            ledger = recorder.ledger(symbol, recorder.timeframes[0])
            start = ledger.edge
            if start is not None and recorder.unknown(ledger.series, start, end):
                self._feed.healer.want(ledger.series, start, end, "ws.unavailable")
