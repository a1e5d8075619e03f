"""MACD-V written down a second time, from its definition and without a line of livermore: slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Numbers = list[float | None]


class Row(Protocol):
    """Of a candle, what is looked at."""

    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...


def average(inputs: Sequence[float | None], length: int, weight: float) -> Numbers:
    """At each input the mean of the first `length`, then (1 - weight) of it and weight of each; undefined skipped."""
    averages: Numbers = []
    first: list[float] = []
    held = 0.0
    for x in inputs:
        if x is None:
            averages.append(None)
            continue
        if len(first) < length:
            first.append(x)
            held = sum(first) / length
            averages.append(held if len(first) == length else None)
        else:
            held = (1.0 - weight) * held + weight * x
            averages.append(held)
    return averages


def slow_macd_v(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """The outputs of MACD-V (12, 26, 26, 9, 20) after each of `rows`, which begin where its history begins."""
    closes = [row.close for row in rows]
    before = [*closes[:1], *closes[:-1]]
    ranges = [
        max(row.high - row.low, abs(row.high - last), abs(row.low - last))
        for row, last in zip(rows, before, strict=True)
    ]
    fast, slow, atr = average(closes, 12, 2 / 13), average(closes, 26, 2 / 27), average(ranges, 26, 1 / 26)
    values: Numbers = [
        None if one is None or other is None or reach is None or reach < 1e-10 * close else 100 * (one - other) / reach
        for one, other, reach, close in zip(fast, slow, atr, closes, strict=True)
    ]
    signals = average(values, 9, 2 / 10)
    outputs: list[Mapping[str, Any]] = []
    calm = bars = 0
    stage: str | None = None
    for value, signal in zip(values, signals, strict=True):
        calm = calm + 1 if value is not None and abs(value) <= 50 else 0
        found = None if value is None or signal is None else stage_of(value, signal, calm)
        bars = 0 if found is None else bars + 1 if found == stage else 1
        stage = found
        outputs.append(
            {
                "macd_v": value,
                "signal": signal,
                "histogram": None if value is None or signal is None else value - signal,
                "zone": None if value is None else zone_of(value),
                "stage": found,
                "bars_in_stage": bars or None,
            }
        )
    return outputs


def zone_of(value: float) -> str:
    """The zone of a value; a boundary belongs to the inner one."""
    bounds = [
        ("oversold", value < -150),
        ("negative", value < -50),
        ("neutral", value <= 50),
        ("positive", value <= 150),
    ]
    return next((name for name, holds in bounds if holds), "overbought")


def stage_of(value: float, signal: float, calm: int) -> str:
    """The first of these that holds."""
    rules = [
        ("oversold", value < -150),
        ("overbought", value > 150 and value >= signal),
        ("ranging", calm >= 20),
        ("rallying", value > 50 and value >= signal),
        ("rebounding", value >= signal),
        ("reversing", value < -50),
    ]
    return next((name for name, holds in rules if holds), "retracing")
