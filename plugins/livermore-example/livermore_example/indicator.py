"""The indicator: how far the close has moved."""

from __future__ import annotations

from collections import deque

from livermore_core import Candle, Indicator


class RateOfChange(Indicator):
    """100 * (close / close `length` candles ago - 1), in percent; `length` >= 1. Source: TradingView `ta.roc`."""

    def __init__(self, length: int = 9) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, was {length}")
        self.closes: deque[float] = deque(maxlen=length + 1)
        self.warmup = self.settle = length + 1

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        self.closes.append(candle.close)
        if len(self.closes) < self.warmup:
            return None
        return 100.0 * (self.closes[-1] / self.closes[0] - 1.0)
