"""The whole kit under faults, with this bridge: what is announced is what TA-Lib says of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

from livermore_indicators import IndicatorCalculationService
from talib_batch import batch

from livermore_core import Candle, Context
from livermore_core.contributions import resolve
from livermore_core.testing import simulate

FUNCTIONS = ("rsi", "macd", "sar", "cdlengulfing")
MARKETS = {"P02-USD": 2.0, "P08-USD": 300.0}


async def indicate(context: Context) -> None:
    await IndicatorCalculationService(context).start()


def reference(name: str) -> tuple[str, Any]:
    """Where the class is, and what its values are held against: the batch function over all that it was fed."""
    place = f"livermore_talib.functions:{name}"
    made = resolve(place)()

    def at_once(rows: Sequence[Candle]) -> list[Mapping[str, Any]]:
        return [dict(zip(made.outputs, values, strict=True)) for values in batch(name.upper(), rows, made.parameters)]

    return place, at_once


def test_under_faults_values_are_those_of_talib_on_what_is_stored_I2_I4() -> None:
    indicators = {name: reference(name) for name in FUNCTIONS}
    outcome = simulate(3, 0.4, per_hour=20.0, markets=MARKETS, indicate=indicate, indicators=indicators)
    assert outcome.violations == []
    assert outcome.compared > 1_000
