"""SuperTrend: a line that follows the price at a distance of its range, and turns when it is crossed."""

from __future__ import annotations

from math import ceil

from livermore_core import Candle, Indicator, Rma, TrueRange, settle
from livermore_indicators.parameters import check_factor, check_lengths

DOWN, UP = 1, -1
# A price that wanders needs some factor^2 candles to cross the line; ten times as many leave hardly a doubt.
TURNS_WITHIN = 10


class SuperTrend(Indicator):
    """(high + low) / 2 - factor * ATR(length) below a rising price, + factor * ATR(length) above a falling one.

    In the quote currency; the lower line only rises and the upper only falls until the close crosses it. `direction` is
    -1 while up and +1 while down, as in Pine. It begins with candle `length` >= 1, down; `factor` > 0. The line depends
    on where history began until both have crossed together, for which `settle` leaves time. Source: Olivier Seban;
    TradingView `ta.supertrend`.
    """

    outputs = ("supertrend", "direction")

    def __init__(self, length: int = 10, factor: float = 3.0) -> None:
        check_lengths(length=length)
        check_factor("factor", factor)
        self.true_range, self.atr, self.factor = TrueRange(), Rma(length), factor
        self.upper, self.lower = 0.0, 0.0
        self.line: float | None = None
        self.close: float | None = None
        self.warmup = length
        self.settle = length + settle(1.0 / max(length, 2)) + ceil(TURNS_WITHIN * factor * factor)

    def update(self, candle: Candle) -> tuple[float, int] | None:
        """Take one closed candle."""
        close, self.close = candle.close if self.close is None else self.close, candle.close
        atr = self.atr.push_or_stay(self.true_range.push(candle))
        if atr is None:
            return None
        was_down, is_first = self.line == self.upper, self.line is None
        self._move((candle.high + candle.low) / 2, self.factor * atr, close)
        is_up = candle.close > self.upper if was_down else candle.close >= self.lower
        if is_first or not is_up:
            self.line = self.upper
            return self.upper, DOWN
        self.line = self.lower
        return self.lower, UP

    def _move(self, middle: float, distance: float, close: float) -> None:
        """Both lines follow, but turn back only where the close before was beyond them."""
        lower, upper = middle - distance, middle + distance
        if lower > self.lower or close < self.lower:
            self.lower = lower
        if upper < self.upper or close > self.upper:
            self.upper = upper
