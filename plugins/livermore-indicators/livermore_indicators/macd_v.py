"""MACD-V: the distance of two averages in units of volatility, with zones and stages."""

from __future__ import annotations

from livermore_core import CARRY, Candle, Ema, Indicator, Rma, settle

NEGLIGIBLE_RANGE = 1e-10
INNER, OUTER = 50.0, 150.0

Result = tuple[float | None, float | None, float | None, str | None, str | None, int | None]


class MacdV(Indicator):
    """100 * (EMA(close, fast) - EMA(close, slow)) / ATR(atr), in points; ATR is Wilder's average of the true range.

    Signal: EMA of it; histogram: MACD-V minus signal. Undefined while ATR < 1e-10 * close. `zone` needs only the value,
    `stage` the signal too; `ranging` after `ranging_bars` values within -50..50. All lengths are candles >= 1; an `atr`
    shorter than half of `slow` forgets what moved, in a market that stands still, before the averages do: the value
    then grows without bound. Source: A. Spiroglou, MACD-V (NAAIM Founders Award 2022); averages as TradingView's.
    """

    outputs = ("macd_v", "signal", "histogram", "zone", "stage", "bars_in_stage")

    def __init__(self, fast: int = 12, slow: int = 26, atr: int = 26, signal: int = 9, ranging_bars: int = 20) -> None:
        lengths = {"fast": fast, "slow": slow, "atr": atr, "signal": signal, "ranging_bars": ranging_bars}
        for name, length in lengths.items():
            if length < 1:
                raise ValueError(f"{name} must be at least 1, was {length}")
        self.fast, self.slow, self.signal = Ema(fast), Ema(slow), Ema(signal)
        self.atr = Rma(atr)
        self.ranging_bars = ranging_bars
        self.previous: float | None = None
        self.neutral_bars = 0
        self.stage: str | None = None
        self.bars_in_stage = 0
        self.warmup = max(fast, slow, atr) + signal - 1
        longest = max(fast, slow)
        self.settle = max(
            atr + settle(1.0 / atr),
            longest + settle(2.0 / (longest + 1)),
            max(longest, atr) + signal + settle(2.0 / (signal + 1)),
        )

    def update(self, candle: Candle) -> Result | None:
        """Take one closed candle."""
        close, reach = candle.close, self._true_range(candle)
        self.previous = close
        value = ratio(self.fast.push(close), self.slow.push(close), self.atr.push_or_stay(reach), close)
        if value is None:
            self.neutral_bars, self.stage, self.bars_in_stage = 0, None, 0
            return None
        result = self._judged(value, self.signal.push(value))
        self.neutral_bars = self.neutral_bars + 1 if -INNER <= value <= INNER else 0
        if result[4] is not None and result[5] is not None:
            self.stage, self.bars_in_stage = result[4], result[5]
        return result

    def peek(self, candle: Candle) -> Result | None:
        """What `update` would give for an open candle; nothing is kept, and nothing copied: previews come often."""
        close, reach = candle.close, self._true_range(candle)
        value = ratio(self.fast.peek(close), self.slow.peek(close), self.atr.peek(reach), close)
        return None if value is None else self._judged(value, self.signal.peek(value))

    def _true_range(self, candle: Candle) -> float | None:
        if candle.source == CARRY:
            return None
        # Without a previous close the close stands in: it lies within high and low, so it widens nothing.
        previous = candle.close if self.previous is None else self.previous
        return max(candle.high, previous) - min(candle.low, previous)

    def _judged(self, value: float, signal: float | None) -> Result:
        if signal is None:
            return value, None, None, zone(value), None, None
        neutral_bars = self.neutral_bars + 1 if -INNER <= value <= INNER else 0
        found = stage(value, signal, neutral_bars, self.ranging_bars)
        bars = self.bars_in_stage + 1 if found == self.stage else 1
        return value, signal, value - signal, zone(value), found, bars


def ratio(fast: float | None, slow: float | None, atr: float | None, close: float) -> float | None:
    """The MACD-V of its parts, in points; None while one is missing or the range is negligible."""
    if fast is None or slow is None or atr is None or atr < NEGLIGIBLE_RANGE * close:
        return None
    return 100.0 * (fast - slow) / atr


def zone(value: float) -> str:
    """Where a MACD-V stands; a boundary value belongs to the inner zone."""
    if value < -OUTER:
        return "oversold"
    if value < -INNER:
        return "negative"
    if value <= INNER:
        return "neutral"
    return "positive" if value <= OUTER else "overbought"


def stage(value: float, signal: float, neutral_bars: int, ranging_bars: int) -> str:
    """The stage of a MACD-V with its signal; equality with the signal counts as above."""
    if value < -OUTER:
        return "oversold"
    if value > OUTER and value >= signal:
        return "overbought"
    if neutral_bars >= ranging_bars:
        return "ranging"
    if value >= signal:
        return "rallying" if value > INNER else "rebounding"
    return "reversing" if value < -INNER else "retracing"
