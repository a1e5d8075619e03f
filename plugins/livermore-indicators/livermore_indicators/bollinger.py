"""Bollinger Bands: the mean of the close, and the band that its deviation spans."""

from __future__ import annotations

from livermore_core import Candle, Indicator, Sma, StdDev
from livermore_indicators.parameters import check_factor, check_lengths


class Bollinger(Indicator):
    """SMA(close, length) + and - multiplier * deviation(close, length), in the quote currency.

    The deviation is that of the population. `length` >= 1 candles, `multiplier` > 0; only the last `length` candles
    count. On flat prices the bands meet; a lower one may be negative. Source: John Bollinger; TradingView `ta.bb`.
    """

    outputs = ("upper", "middle", "lower")

    def __init__(self, length: int = 20, multiplier: float = 2.0) -> None:
        check_lengths(length=length)
        check_factor("multiplier", multiplier)
        self.mean, self.deviation, self.multiplier = Sma(length), StdDev(length), multiplier
        self.warmup = self.settle = length

    def update(self, candle: Candle) -> tuple[float, float, float] | None:
        """Take one closed candle."""
        middle, deviation = self.mean.push(candle.close), self.deviation.push(candle.close)
        if middle is None or deviation is None:
            return None
        reach = self.multiplier * deviation
        return middle + reach, middle, middle - reach
