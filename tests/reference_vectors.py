"""The reference vectors of indicators: candles, expected columns, and how near to them a value must be."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from livermore_core import Candle

VECTORS = Path(__file__).parent / "data" / "indicator-vectors.json"
NAMES = ("walk", "sparse", "flat", "long_flat")


@cache
def vectors(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(VECTORS.read_text())["series"][name]
    return found


def candles(name: str) -> list[Candle]:
    return [Candle(*row) for row in vectors(name)["candles"]]


def near(name: str, got: float | None, want: float | None, *, points: bool = False) -> None:
    tolerance = vectors(name)["tolerance"]
    if want is None or got is None:
        assert got is want
        return
    allowed = tolerance["absolute"] + tolerance["relative"] * abs(want)
    assert abs(got - want) <= (tolerance["macd_v_absolute"] if points else allowed)
