"""OBV: volume summed with the sign of the move it came with."""

from __future__ import annotations

from livermore_core import Candle, Indicator


class Obv(Indicator):
    """On-balance volume: + volume where the close rose, - volume where it fell, summed; in the base currency.

    The first candle gives 0 (TA-Lib: its volume). A sum without an end: its level depends on where history began
    (`since` of the value) and never settles; what does, with the second candle, is its change from candle to candle,
    and only differences mean anything. Source: Joseph Granville; TradingView `ta.obv`.
    """

    settle = 2
    cumulative = True

    def __init__(self) -> None:
        self.total = 0.0
        self.previous: float | None = None

    def update(self, candle: Candle) -> float:
        """Take one closed candle."""
        previous = candle.close if self.previous is None else self.previous
        self.previous = candle.close
        if candle.close > previous:
            self.total += candle.volume
        elif candle.close < previous:
            self.total -= candle.volume
        return self.total
