"""DMI with ADX: which way candles reach beyond the one before, and how decidedly."""

from __future__ import annotations

from livermore_core import Candle, Indicator, Rma, TrueRange, settle
from livermore_indicators.macd_v import NEGLIGIBLE_RANGE
from livermore_indicators.parameters import check_lengths

# ADX is an average of averages: what is left of a seed weighs up to 14 times as much there, when it has nearly faded.
SETTLED_TWICE = 1.6e-6


class Dmi(Indicator):
    """+DI and -DI = 100 * RMA(directional movement) / RMA(true range); ADX = RMA of 100 * |+DI - -DI| / (+DI + -DI).

    In points, 0..100. Movement: by how much the high rose, or the low fell, whichever is more; the other is 0. It needs
    a candle before, so the first one only begins the averages of `length` >= 1 candles; ADX is smoothed over
    `smoothing` >= 1 more (TA-Lib seeds +DI and -DI as if a candle without movement came first; they agree later).
    Neither + nor -: ADX takes 0. Undefined, and ADX held, while RMA(true range) < 1e-10 * close (TradingView repeats
    the last value). Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978); TradingView `ta.dmi`.
    """

    outputs = ("adx", "plus_di", "minus_di")

    def __init__(self, length: int = 14, smoothing: int = 14) -> None:
        check_lengths(length=length, smoothing=smoothing)
        self.true_range = TrueRange()
        self.plus, self.minus, self.range, self.adx = Rma(length), Rma(length), Rma(length), Rma(smoothing)
        self.high: float | None = None
        self.low = 0.0
        self.warmup = length + smoothing
        self.settle = self.warmup + settle(1.0 / max(length, smoothing, 2), SETTLED_TWICE)

    def update(self, candle: Candle) -> tuple[float | None, float, float] | None:
        """Take one closed candle."""
        reach, high, low = self.true_range.push(candle), self.high, self.low
        if reach is not None:
            self.high, self.low = candle.high, candle.low
        if high is None:
            return None
        up, down = candle.high - high, low - candle.low
        plus = self.plus.push_or_stay(None if reach is None else up if up > down and up > 0 else 0.0)
        minus = self.minus.push_or_stay(None if reach is None else down if down > up and down > 0 else 0.0)
        average = self.range.push_or_stay(reach)
        if plus is None or minus is None or average is None or average < NEGLIGIBLE_RANGE * candle.close:
            return None
        both = plus + minus
        decided = 100.0 * abs(plus - minus) / both if both else 0.0
        return self.adx.push(decided), 100.0 * plus / average, 100.0 * minus / average
