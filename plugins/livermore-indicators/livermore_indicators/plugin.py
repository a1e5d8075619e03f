"""The entry point: what this plugin offers, and its stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Context, IndicatorType


@hookimpl
def register_indicators() -> Iterable[IndicatorType]:
    """MACD-V and the averages of the close."""
    from livermore_core import IndicatorType

    yield IndicatorType("macd-v", "volatility normalised momentum, with stages", "livermore_indicators.macd_v:MacdV")
    yield IndicatorType("ema", "exponential moving average of the close", "livermore_indicators.averages:EmaOfClose")
    yield IndicatorType("rma", "Wilder's moving average of the close", "livermore_indicators.averages:RmaOfClose")
    yield IndicatorType("sma", "simple moving average of the close", "livermore_indicators.averages:SmaOfClose")


@hookimpl
async def indicators(context: Context) -> None:
    """Warm every indicator, then listen."""
    from livermore_indicators.service import IndicatorCalculationService

    await IndicatorCalculationService(context).start()
