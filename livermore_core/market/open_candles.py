"""The open candles of one symbol: previews of every timeframe, from its closed minutes and the open one."""

from __future__ import annotations

from collections.abc import Sequence

from livermore_core.market.candle import Candle
from livermore_core.market.tape import Partial
from livermore_core.market.timeframe import WIDTHS


class OpenCandles:
    """Keeps, for each timeframe above 1m, what the closed part of its open bucket adds up to."""

    def __init__(self, timeframes: Sequence[str]) -> None:
        self._widths = {timeframe: WIDTHS[timeframe] for timeframe in timeframes}
        self._closed: dict[str, Partial] = {}

    def seed(self, timeframe: str, parts: Sequence[Candle]) -> None:
        """Start the open bucket of `timeframe` anew from its closed lower candles."""
        self._closed.pop(timeframe, None)
        for part in parts:
            self._add(timeframe, part)

    def minute(self, candle: Candle) -> None:
        """A minute closed: add it to every open bucket."""
        for timeframe in self._widths:
            self._add(timeframe, candle)

    def view(self, timeframe: str, minute: Partial) -> Candle:
        """The open candle of `timeframe` with the open minute in it."""
        bucket = minute.time // self._widths[timeframe] * self._widths[timeframe]
        view = Partial(bucket, minute.open, 0.0)
        closed = self._closed.get(timeframe)
        if closed is not None and closed.time == bucket:
            view.open, view.high, view.low, view.volume = closed.open, closed.high, closed.low, closed.volume
        view.join(minute)
        return view.candle("derived")

    def closed(self, timeframe: str, since: int) -> list[Candle]:
        """The closed part of the open bucket of `timeframe`, if it began at or after `since`."""
        closed = self._closed.get(timeframe)
        return [closed.candle("derived")] if closed is not None and closed.time >= since else []

    def _add(self, timeframe: str, part: Candle) -> None:
        bucket = part.time // self._widths[timeframe] * self._widths[timeframe]
        closed = self._closed.get(timeframe)
        if closed is None or closed.time != bucket:
            closed = self._closed[timeframe] = Partial(bucket, part.open, 0.0)
        closed.join(part)
