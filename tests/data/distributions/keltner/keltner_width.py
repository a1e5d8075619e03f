"""The width of Keltner channels, in percent of their middle: all that its author has to write."""

from livermore_core import Candle, Ema, Indicator, IndicatorType, Rma, TrueRange, hookimpl, settle


class KeltnerWidth(Indicator):
    """200 * multiplier * ATR(length) / EMA(close, length). Source: Linda Raschke's form of Chester Keltner's bands."""

    def __init__(self, length: int = 20, multiplier: float = 2.0) -> None:
        self.middle, self.range, self.reach = Ema(length), Rma(length), TrueRange()
        self.multiplier = multiplier
        self.warmup, self.settle = length, length + settle(1.0 / length)

    def update(self, candle: Candle) -> float | None:
        middle, reach = self.middle.push(candle.close), self.range.push_or_stay(self.reach.push(candle))
        return None if middle is None or reach is None else 200.0 * self.multiplier * reach / middle


@hookimpl
def register_indicators():
    """Yield the indicator `keltner-width`."""
    yield IndicatorType("keltner-width", "width of the Keltner channels in percent", "keltner_width:KeltnerWidth")
