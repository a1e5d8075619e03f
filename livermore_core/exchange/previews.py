"""Previews: the open candles of the symbols that trade, of every timeframe, while anybody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from livermore_core.bus import Bus
from livermore_core.exchange.recorder import Recorder
from livermore_core.market.candle import Candle
from livermore_core.market.events import OPEN, Event
from livermore_core.market.open_candles import OpenCandles
from livermore_core.market.series import Series
from livermore_core.market.tape import STEP, Partial, Tape
from livermore_core.market.timeframe import WIDTHS

PREVIEW_EVERY = 0.25


class Previews:
    """Joins the minute in progress to what is closed of the wider candles, which is kept here minute by minute.

    A symbol of which that is not wholly known is stale, and only its minute is shown.
    """

    def __init__(self, recorder: Recorder, tapes: Mapping[str, Tape], bus: Bus) -> None:
        self._recorder, self._tapes, self._bus = recorder, tapes, bus
        self._base, self._higher = recorder.timeframes[0], recorder.timeframes[1:]
        self._opens = {symbol: OpenCandles(self._higher) for symbol in tapes}
        self._stale = set(tapes)
        self._dirty: set[str] = set()

    # ---- showing ----

    def show(self, symbols: Iterable[str]) -> None:
        """These symbols have traded."""
        if self._bus.wants(OPEN):
            for symbol in symbols:
                self._show(symbol)

    def _show(self, symbol: str) -> None:
        minute = self._minute(symbol)
        if minute is not None:
            self._publish(symbol, self._base, minute.candle())
            if symbol not in self._dirty:  # each symbol by its own timer: all at once would hold up the loop
                self._dirty.add(symbol)
                asyncio.get_running_loop().call_later(PREVIEW_EVERY, self._show_higher, symbol)

    def _show_higher(self, symbol: str) -> None:
        self._dirty.discard(symbol)
        minute = self._minute(symbol)
        if minute is not None and symbol not in self._stale:
            for timeframe in self._higher:
                self._publish(symbol, timeframe, self._opens[symbol].view(timeframe, minute))

    def _minute(self, symbol: str) -> Partial | None:
        tape = self._tapes[symbol]
        return tape.buckets.get(int(tape.last_time // STEP) * STEP)

    def _publish(self, symbol: str, timeframe: str, candle: Candle) -> None:
        self._bus.publish(
            Event(
                kind=OPEN,
                exchange=self._recorder.exchange,
                symbol=symbol,
                timeframe=timeframe,
                time=candle.time,
                candle=candle,
            )
        )

    # ---- what is closed ----

    def doubt(self, symbol: str) -> None:
        """What is closed of the symbol's candles does not stand, or is not known."""
        self._stale.add(symbol)

    async def closed(self, symbol: str, bucket: int, candle: Candle | None) -> None:
        """A minute is closed and written. Raises StoreError."""
        if candle is not None:
            self._opens[symbol].minute(candle)
        if symbol in self._stale and symbol in self._recorder.live:
            await self._seed(symbol, bucket + STEP)

    async def _seed(self, symbol: str, moment: int) -> None:
        """Rebuild the closed parts of the open candles from the store, once everything of them is known."""
        opens = self._opens[symbol]
        for higher, lower in self._recorder.ladder:
            start = moment // WIDTHS[higher] * WIDTHS[higher]
            series = Series(self._recorder.exchange, symbol, lower)
            parts = await self._recorder.store.candles(series, since=start, until=moment)
            opens.seed(higher, [*parts, *opens.closed(lower, start)])
        base = self._recorder.ledger(symbol, self._base)
        if base.coverage.covers(max(moment - WIDTHS["1h"], base.coverage.start or moment), moment):
            self._stale.discard(symbol)
