"""The entry point: every function of TA-Lib that reads the columns of candles, named without importing TA-Lib."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import IndicatorType


@hookimpl
def register_indicators() -> Iterable[IndicatorType]:
    """`talib.rsi` and so on."""
    from livermore_core import IndicatorType
    from livermore_talib.names import NAMES

    for function, summary in NAMES.items():
        name = function.lower()
        yield IndicatorType(f"talib.{name}", summary, f"livermore_talib.functions:{name}")
