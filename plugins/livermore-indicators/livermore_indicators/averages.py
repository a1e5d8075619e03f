"""The averages of the close as indicators."""

from __future__ import annotations

from livermore_core import Candle, Ema, Indicator, Rma, Sma, settle


class EmaOfClose(Indicator):
    """EMA of the close in the quote currency; `length` >= 1 candles. Source: TradingView `ta.ema`."""

    def __init__(self, length: int = 20) -> None:
        _check(length)
        self.average = Ema(length)
        self.warmup = length
        self.settle = length + settle(2.0 / (length + 1)) if length > 1 else 1

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        return self.average.push(candle.close)


class RmaOfClose(Indicator):
    """Wilder's average of the close; `length` >= 1 candles. Source: TradingView `ta.rma`."""

    def __init__(self, length: int = 14) -> None:
        _check(length)
        self.average = Rma(length)
        self.warmup = length
        self.settle = length + settle(1.0 / length) if length > 1 else 1

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        return self.average.push(candle.close)


class SmaOfClose(Indicator):
    """Mean of the last `length` >= 1 closes. Source: TradingView `ta.sma`."""

    def __init__(self, length: int = 20) -> None:
        _check(length)
        self.average = Sma(length)
        self.warmup = self.settle = length

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        return self.average.push(candle.close)


def _check(length: int) -> None:
    if length < 1:
        raise ValueError(f"length must be at least 1, was {length}")
