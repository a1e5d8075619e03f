"""The entry point: what this plugin offers, and its stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Context, IndicatorType


@hookimpl
def register_indicators() -> Iterable[IndicatorType]:
    """MACD-V, the averages of the close, and what charts usually show."""
    from livermore_core import IndicatorType

    for name, summary, reference in (
        ("macd-v", "volatility normalised momentum, with stages", "macd_v:MacdV"),
        ("ema", "exponential moving average of the close", "averages:EmaOfClose"),
        ("rma", "Wilder's moving average of the close", "averages:RmaOfClose"),
        ("sma", "simple moving average of the close", "averages:SmaOfClose"),
        ("macd", "distance of two averages of the close, with signal", "macd:Macd"),
        ("rsi", "share of rises in the movement of the close, 0..100", "rsi:Rsi"),
        ("atr", "average true range", "atr:Atr"),
        ("bollinger", "mean of the close with a band of its deviation", "bollinger:Bollinger"),
        ("stochastic", "place of the close within the last range, 0..100", "stochastic:Stochastic"),
        ("dmi", "directional movement and ADX, 0..100", "dmi:Dmi"),
        ("supertrend", "trend line at a distance of the range", "supertrend:SuperTrend"),
        ("vwap", "volume weighted price since a day, week or instant", "vwap:AnchoredVwap"),
        ("obv", "volume summed by the sign of the move", "obv:Obv"),
    ):
        yield IndicatorType(name, summary, f"livermore_indicators.{reference}")


@hookimpl
async def indicators(context: Context) -> None:
    """Warm every indicator, then listen."""
    from livermore_indicators.service import IndicatorCalculationService

    await IndicatorCalculationService(context).start()
