"""RSI: how much of the movement of the close went up."""

from __future__ import annotations

from livermore_core import Candle, Indicator, Rma, settle
from livermore_indicators.macd_v import NEGLIGIBLE_RANGE
from livermore_indicators.parameters import check_lengths


class Rsi(Indicator):
    """Relative strength index: 100 * up / (up + down), in points, 0..100.

    `up` and `down` are Wilder's averages of the rises and of the falls of the close, over `length` >= 1 candles; the
    first comes after `length` changes. Only rises give 100, only falls 0; undefined while up + down < 1e-10 * close,
    where nothing moved (TradingView prints 100, TA-Lib 0). Source: J. Welles Wilder, New Concepts in Technical Trading
    Systems (1978); TradingView `ta.rsi`.
    """

    def __init__(self, length: int = 14) -> None:
        check_lengths(length=length)
        self.up, self.down = Rma(length), Rma(length)
        self.previous: float | None = None
        self.warmup = length + 1
        self.settle = self.warmup + settle(1.0 / max(length, 2))

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        previous, self.previous = self.previous, candle.close
        if previous is None:
            return None
        change = candle.close - previous
        up, down = self.up.push(max(change, 0.0)), self.down.push(max(-change, 0.0))
        if up is None or down is None or up + down < NEGLIGIBLE_RANGE * candle.close:
            return None
        return 100.0 * up / (up + down)
