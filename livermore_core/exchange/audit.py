"""The background audit: what is known is asked for again, a page at a time, spread over the exchange's day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from livermore_core.exchange.heal import AUDIT, Healer
from livermore_core.exchange.recorder import Recorder
from livermore_core.market.proof import EMPTY_DELAY
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, floor

# Seconds between two audits of a series. A page of 300 buckets reaches back over several of them.
EVERY = {"1m": 3600, "5m": 86_400}
# Wider candles that are derived first, and natively confirmed as soon as an absent row is a proof.
AT_CLOSE = ("4h", "1d")


class Turn(NamedTuple):
    """A series has its turn whenever the exchange's clock is `offset` seconds past a multiple of `every` seconds."""

    series: Series
    every: int
    offset: int

    def after(self, moment: float) -> int:
        """The first turn later than `moment` (UNIX seconds)."""
        return (int((moment - self.offset) // self.every) + 1) * self.every + self.offset


def plan(exchange: str, symbols: Sequence[str], timeframes: Sequence[str]) -> list[Turn]:
    """The turns of all series that are audited, symbols evenly spread over the hour and the day by their position."""
    turns = []
    for position, symbol in enumerate(symbols):
        for timeframe in timeframes:
            series = Series(exchange, symbol, timeframe)
            if timeframe in EVERY:
                every = EVERY[timeframe]
                turns.append(Turn(series, every, every * (2 * position + 1) // (2 * len(symbols))))
            elif timeframe in AT_CLOSE:
                turns.append(Turn(series, WIDTHS[timeframe], EMPTY_DELAY))
    return turns


class Audit:
    """Wants the newest page of a series each time it has its turn; the ledger makes a revision of what differs.

    A turn is missed while the exchange's clock stands still; one page makes up for all that were missed together.
    """

    def __init__(self, recorder: Recorder, healer: Healer, symbols: Sequence[str]) -> None:
        self._recorder, self._healer = recorder, healer
        self._turns = plan(recorder.exchange, symbols, recorder.timeframes)

    async def run(self, ready: Callable[[], None]) -> None:
        """Wait for the next turn on the exchange's clock, for ever."""
        ready()
        clock = self._recorder.clock
        since = clock.now
        while True:
            event = asyncio.Event()
            clock.wake(min(turn.after(since) for turn in self._turns), event)
            await event.wait()
            now = clock.now
            for turn in self._turns:
                if turn.after(since) <= now:
                    self._want(turn.series, now)
            since = now

    def _want(self, series: Series, now: float) -> None:
        """Nothing before the beginning of what is known is asked for: depth is the backfill's business."""
        end = floor(now - EMPTY_DELAY, series.timeframe)
        known = self._recorder.ledger(series.symbol, series.timeframe).coverage.start
        if known is None or known >= end:
            return
        start = max(known, end - self._healer.page_size * WIDTHS[series.timeframe])
        self._healer.want(series, start, end, "audit", priority=AUDIT, always=True)
