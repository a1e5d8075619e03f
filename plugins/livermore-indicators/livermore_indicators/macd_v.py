"""MACD-V: the distance of two averages in units of volatility, with zones and stages."""

from __future__ import annotations

from livermore_core import Candle, Ema, Indicator, Rma, settle

NEGLIGIBLE_RANGE = 1e-10
INNER, OUTER = 50.0, 150.0

Result = tuple[float | None, float | None, float | None, str | None, str | None, int | None]


class MacdV(Indicator):
    """100 * (EMA(close, fast) - EMA(close, slow)) / ATR(atr), in points; ATR is Wilder's average of the true range.

    Signal: EMA of it; histogram: MACD-V minus signal. Undefined while ATR < 1e-10 * close. `zone` needs only the value,
    `stage` the signal too; `ranging` after `ranging_bars` values within -50..50. Source: A. Spiroglou, MACD-V (NAAIM
    Founders Award 2022); averages as TradingView computes them. All lengths are candles >= 1.
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
        self.settle = max(slow, atr) + settle(1.0 / atr if atr > 1 else 0.5)

    def update(self, candle: Candle) -> Result | None:
        """Take one closed candle."""
        close = candle.close
        # Without a previous close the close stands in: it lies within high and low, so it widens nothing.
        previous = close if self.previous is None else self.previous
        self.previous = close
        fast, slow = self.fast.push(close), self.slow.push(close)
        atr = self.atr.push(max(candle.high, previous) - min(candle.low, previous))
        if fast is None or slow is None or atr is None or atr < NEGLIGIBLE_RANGE * close:
            self.neutral_bars, self.stage, self.bars_in_stage = 0, None, 0
            return None
        value = 100.0 * (fast - slow) / atr
        self.neutral_bars = self.neutral_bars + 1 if -INNER <= value <= INNER else 0
        signal = self.signal.push(value)
        if signal is None:
            return value, None, None, zone(value), None, None
        found = stage(value, signal, self.neutral_bars, self.ranging_bars)
        self.bars_in_stage = self.bars_in_stage + 1 if found == self.stage else 1
        self.stage = found
        return value, signal, value - signal, zone(value), found, self.bars_in_stage


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
