"""MACD: the distance of two averages of the close, and the average of that distance."""

from __future__ import annotations

from livermore_core import Candle, Ema, Indicator, settle
from livermore_indicators.parameters import check_lengths


class Macd(Indicator):
    """EMA(close, fast) - EMA(close, slow), in the quote currency, of either sign.

    Signal: EMA of it; histogram: MACD minus signal. Each average is seeded on its own, with the mean of its first
    inputs, so that MACD begins with candle `slow` and its signal `signal` - 1 candles later. Lengths are candles >= 1.
    Source: Gerald Appel; TradingView `ta.macd`.
    """

    outputs = ("macd", "signal", "histogram")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        check_lengths(fast=fast, slow=slow, signal=signal)
        self.fast, self.slow, self.signal = Ema(fast), Ema(slow), Ema(signal)
        self.warmup = max(fast, slow) + signal - 1
        self.settle = self.warmup + settle(2.0 / (max(fast, slow, signal, 2) + 1))

    def update(self, candle: Candle) -> tuple[float | None, ...] | None:
        """Take one closed candle."""
        fast, slow = self.fast.push(candle.close), self.slow.push(candle.close)
        if fast is None or slow is None:
            return None
        macd = fast - slow
        signal = self.signal.push(macd)
        return macd, signal, None if signal is None else macd - signal
