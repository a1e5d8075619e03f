"""The truth to compare with: TA-Lib's batch functions over whole columns, called without the bridge's help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy
import talib
from talib import abstract

from livermore_core import Candle, Indicator

Results = list[tuple[float | int | None, ...]]


def batch(function: str, rows: Sequence[Candle], parameters: Mapping[str, Any]) -> Results:
    """What TA-Lib computes at once, candle by candle; None where it has nothing yet, or nothing finite."""
    columns: list[str] = []
    for named in abstract.Function(function).info["input_names"].values():
        columns += [named] if isinstance(named, str) else named
    inputs = [numpy.array([float(getattr(row, column)) for row in rows]) for column in columns]
    given = getattr(talib, function)(*inputs, **parameters)
    outputs = [each.tolist() for each in (given if isinstance(given, tuple | list) else (given,))]
    lookback = abstract.Function(function, **parameters).lookback
    return [
        tuple(value if at >= lookback and isfinite(value) else None for value in values)
        for at, values in enumerate(zip(*outputs, strict=True))
    ]


def lived(made: Indicator, rows: Sequence[Candle]) -> Results:
    """What the indicator gives for each candle in turn."""
    return [results(made, made.update(row)) for row in rows]


def results(made: Indicator, found: Any) -> tuple[float | int | None, ...]:
    """One value for each output."""
    if found is None:
        return (None,) * len(made.outputs)
    return found if isinstance(found, tuple) else (found,)
