"""Holds the least that MACD-V costs in plain Python: one fused update without objects around it."""

from __future__ import annotations

Points = tuple[float, float, float]


class FusedMacdV:
    """MACD-V 12/26/26 with signal 9: what it was fed is in eight numbers. `update` keeps, `peek` does not."""

    __slots__ = ("atr", "close", "fast", "line", "seen", "signal", "slow", "values")

    def __init__(self) -> None:
        self.seen = self.values = 0
        self.fast = self.slow = self.atr = self.signal = self.line = self.close = 0.0

    def update(self, high: float, low: float, close: float) -> Points | None:
        """Take one closed candle: MACD-V, signal, histogram."""
        seen = self.seen = self.seen + 1
        previous = close if seen == 1 else self.close
        self.close = close
        span = (high if high > previous else previous) - (low if low < previous else previous)
        if seen <= 26:  # each average starts as the mean of its first inputs
            self.slow += (close - self.slow) / seen
            self.atr += (span - self.atr) / seen
            self.fast += (close - self.fast) / (seen if seen <= 12 else 6.5)
            if seen < 26:
                return None
        else:
            self.fast += (close - self.fast) / 6.5
            self.slow += (close - self.slow) / 13.5
            self.atr += (span - self.atr) / 26.0
        if self.atr < 1e-10 * close:
            return None
        line = self.line = 100.0 * (self.fast - self.slow) / self.atr
        values = self.values = self.values + 1
        self.signal += (line - self.signal) / (values if values <= 9 else 5.0)
        return (line, self.signal, line - self.signal) if values >= 9 else None

    def peek(self, high: float, low: float, close: float) -> Points | None:
        """What `update` would give for an open candle, once 34 were fed."""
        if self.values < 9:
            return None
        previous = self.close
        span = (high if high > previous else previous) - (low if low < previous else previous)
        fast = self.fast + (close - self.fast) / 6.5
        slow = self.slow + (close - self.slow) / 13.5
        line = 100.0 * (fast - slow) / (self.atr + (span - self.atr) / 26.0)
        signal = self.signal + (line - self.signal) / 5.0
        return line, signal, line - signal
