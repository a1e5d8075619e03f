"""Ranges of candles: the true range."""

from __future__ import annotations

from livermore_core.indicators.block import Block
from livermore_core.indicators.empty import CARRY
from livermore_core.market.candle import Candle


class TrueRange(Block):
    """max(high, previous close) - min(low, previous close), in the quote currency; high - low of the first candle.

    An empty bucket whose close is carried has no range: None. Source: Wilder; TradingView `ta.tr(true)`.
    """

    def __init__(self) -> None:
        self.previous: float | None = None

    def push(self, candle: Candle) -> float | None:
        """The true range of the next candle."""
        if candle.source == CARRY:
            return None
        close = candle.close if self.previous is None else self.previous
        self.previous = candle.close
        return max(candle.high, close) - min(candle.low, close)
