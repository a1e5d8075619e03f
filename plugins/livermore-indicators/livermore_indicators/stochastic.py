"""Stochastic: where the close stands within the range of the last candles."""

from __future__ import annotations

from livermore_core import Candle, Highest, Indicator, Lowest, Sma
from livermore_indicators.parameters import check_lengths


class Stochastic(Indicator):
    """%K = SMA(100 * (close - lowest low) / (highest high - lowest low), smooth_k), %D = SMA(%K, smooth_d); 0..100.

    Highest and lowest of `length` candles; in points; %K comes before %D. Undefined while a range is empty, and such a
    candle counts in no mean. Lengths are candles >= 1, those of TradingView's indicator. Source: George Lane;
    TradingView `ta.stoch` and `ta.sma`.
    """

    outputs = ("k", "d")

    def __init__(self, length: int = 14, smooth_k: int = 1, smooth_d: int = 3) -> None:
        check_lengths(length=length, smooth_k=smooth_k, smooth_d=smooth_d)
        self.highest, self.lowest = Highest(length), Lowest(length)
        self.k, self.d = Sma(smooth_k), Sma(smooth_d)
        self.warmup = self.settle = length + smooth_k + smooth_d - 2

    def update(self, candle: Candle) -> tuple[float, float | None] | None:
        """Take one closed candle."""
        highest, lowest = self.highest.push(candle.high), self.lowest.push(candle.low)
        if highest is None or lowest is None or highest == lowest:
            return None
        k = self.k.push(100.0 * (candle.close - lowest) / (highest - lowest))
        return None if k is None else (k, self.d.push(k))
