"""Asking once whether a quiet symbol is really quiet: a heartbeat is no proof that its data flows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from livermore_core.errors import CredentialsError, ExchangeError, PermanentError
from livermore_core.exchange.feed import LiveFeed
from livermore_core.market.tape import STEP
from livermore_core.market.trade import Trade

FIRST = 90.0
LATER = (180.0, 360.0, 900.0, 1800.0, 3600.0)
# Where the last trade is not told, nothing agrees, and patience grows no longer than to this step of LATER.
UNTOLD = 3
# Seconds between two connections for the sake of one symbol, the first, the second and any later one.
RECONNECT_AFTER = (180.0, 360.0, 900.0)
LOOK_EVERY = 5.0
IN_FLIGHT = 5.0


class QuietProbe:
    """A symbol without a trade for 90 s of real time is asked for its last trade; then after 3, 6, 15, 30, 60 min.

    Where frames were lost since, it is asked again at once, at most every 90 s.
    The id we have confirms every bucket so far; another one that did not reach us means the feed is muted.
    """

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._asked: dict[str, tuple[float, int]] = {}
        self._expected: dict[str, Trade] = {}
        self._reconnected: dict[str, tuple[float, int]] = {}

    async def run(self, ready: Callable[[], None]) -> None:
        """Look every few seconds, for ever."""
        ready()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._judge()
            self._look_for_the_unmuted()
            # In the order of the feed: `heard` has that of a set, which is another one in each process.
            for symbol in [symbol for symbol in self._feed.symbols if self._is_due(symbol)]:
                await self._ask(symbol)

    def _look_for_the_unmuted(self) -> None:
        for symbol, muted in self._feed.muted.items():
            if muted.since is not None and self._feed.heard[symbol] > self._asked.get(symbol, (0.0, 0))[0]:
                muted.well()

    def _is_due(self, symbol: str) -> bool:
        now = asyncio.get_running_loop().time()
        heard = self._feed.heard.get(symbol, inf)
        asked, times = self._asked.get(symbol, (0.0, 0))
        if not self._feed.connected or now < heard + FIRST:
            return False
        if asked < heard:
            self._asked.pop(symbol, None)
            return True
        # Lost frames leave a quiet symbol in doubt: its buckets cannot close until it is known to have lost nothing.
        patience = FIRST if self._feed.tapes[symbol].doubtful else LATER[min(times, len(LATER)) - 1]
        return now >= asked + patience

    async def _ask(self, symbol: str) -> None:
        now, times = asyncio.get_running_loop().time(), self._asked.get(symbol, (0.0, 0))[1]
        self._asked[symbol] = (now, times + 1)
        try:
            trade = await self._feed.healer.last_trade(symbol)
        except PermanentError:
            self._asked[symbol] = (now, min(times + 1, UNTOLD))
            self._ask_for_minutes(symbol)
            return
        except (ExchangeError, CredentialsError):
            return
        tape = self._feed.tapes[symbol]
        if trade is None or trade.id <= tape.last_id:
            tape.confirm()
            self._feed.muted[symbol].well()
        else:
            self._expected[symbol] = trade
            self._judge()

    def _judge(self) -> None:
        """A trade of the exchange's that has not reached us when it should have means that the feed is muted.

        The last trade of a busy symbol is always on its way: only the one that was told is waited for.
        """
        feed = self._feed
        for symbol, trade in list(self._expected.items()):
            if not feed.connected or trade.id <= feed.tapes[symbol].last_id:
                del self._expected[symbol]
            elif trade.time < feed.clock.now - IN_FLIGHT:
                del self._expected[symbol]
                self._muted(symbol, trade)

    def _ask_for_minutes(self, symbol: str) -> None:
        """The exchange does not tell its last trade: its minutes since the one we have say as much."""
        feed = self._feed
        series = feed.recorder.ledger(symbol, feed.recorder.timeframes[0]).series
        page = feed.healer.page_size * STEP
        end = int(feed.clock.now // STEP) * STEP
        start = max(int(feed.tapes[symbol].last_time // STEP) * STEP, end - page)
        feed.healer.want(series, start, end, "quiet", after=end, always=True)

    def _muted(self, symbol: str, trade: Trade) -> None:
        """The exchange has a trade that should have reached us: nothing since our last one stands."""
        feed = self._feed
        feed.muted[symbol].bad("ws.muted")
        feed.doubt(symbol, "ws.muted")
        feed.tapes[symbol].lost()
        start = int(trade.time // STEP) * STEP
        series = feed.recorder.ledger(symbol, feed.recorder.timeframes[0]).series
        feed.healer.want(series, start, start + STEP, "ws.muted", after=start + STEP)
        if self._may_reconnect(symbol):
            feed.interrupt("ws.muted")

    def _may_reconnect(self, symbol: str) -> bool:
        """Where a new connection did not help, the next one waits; REST tells the minutes of the symbol meanwhile."""
        now = asyncio.get_running_loop().time()
        last, times = self._reconnected.get(symbol, (-inf, 0))
        if now < last + RECONNECT_AFTER[min(times, len(RECONNECT_AFTER)) - 1]:
            return False
        self._reconnected[symbol] = (now, times + 1 if now < last + 2 * RECONNECT_AFTER[-1] else 1)
        return True
