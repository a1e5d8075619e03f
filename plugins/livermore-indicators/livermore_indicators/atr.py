"""ATR: how far a candle reaches on average."""

from __future__ import annotations

from livermore_core import Candle, Indicator, Rma, TrueRange, settle
from livermore_indicators.parameters import check_lengths


class Atr(Indicator):
    """Average true range: Wilder's average of the true range, in the quote currency, >= 0.

    The first candle counts, with high - low, so that ATR begins with candle `length` >= 1 (TA-Lib drops that candle).
    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978); TradingView `ta.atr`.
    """

    def __init__(self, length: int = 14) -> None:
        check_lengths(length=length)
        self.true_range, self.average = TrueRange(), Rma(length)
        self.warmup = length
        self.settle = length + settle(1.0 / max(length, 2))

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        return self.average.push_or_stay(self.true_range.push(candle))
