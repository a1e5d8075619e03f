"""The columns of `livermore watch`: what a cell says and how it looks, what it sorts by, and which columns fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from livermore_core.cli.watching.table import Row
from livermore_core.market.events import IndicatorValue
from livermore_core.market.timeframe import WIDTHS
from livermore_core.masking import harmless

FIXED = ("symbol", "price", "change", "age", "gaps")
BETWEEN = 2
UNKNOWN = "-"


class Sign(NamedTuple):
    """How a stage looks: for those who see no colours too, and on a terminal that knows ASCII only."""

    text: str
    style: str


# From high to low.
STAGES = {
    "overbought": Sign("^^", "bold magenta"),
    "rallying": Sign("^", "bold green"),
    "rebounding": Sign("/", "cyan"),
    "ranging": Sign("-", "dim"),
    "retracing": Sign("\\", "yellow"),
    "reversing": Sign("v", "red"),
    "oversold": Sign("vv", "bold bright_blue"),
}
NO_STAGE = Sign("", "")


class Cell(NamedTuple):
    """A text and its style."""

    text: str
    style: str = ""


def columns_of(timeframes: Sequence[str]) -> list[str]:
    """Every column, from left to right."""
    return ["symbol", "price", "change", *timeframes, "age", "gaps"]


def fitting(columns: Sequence[str], widths: Mapping[str, int], width: int) -> list[str]:
    """The columns that have room side by side. Gaps leave first, then wide timeframes, then age, change and price."""
    first, *wider = [column for column in columns if column in WIDTHS] or [""]
    leaving = ["gaps", *reversed(wider), "age", first, "change", "price"]
    left = list(columns)
    while sum(widths[column] + BETWEEN for column in left) - BETWEEN > width and leaving:
        gone = leaving.pop(0)
        left = [column for column in left if column != gone]
    return left


def ordered(rows: Sequence[Row], column: str, output: str | None, falls: bool) -> list[Row]:
    """The rows by a column; what is unknown comes last either way."""
    keys = {id(row): sort_key(row, column, output) for row in rows}
    known = [row for row in rows if keys[id(row)] is not None]
    unknown = [row for row in rows if keys[id(row)] is None]
    return [*sorted(known, key=lambda row: keys[id(row)] or (0, 0.0, ""), reverse=falls), *unknown]


def sort_key(row: Row, column: str, output: str | None) -> tuple[int, float, str] | None:
    """What a row is sorted by: numbers before words."""
    value = output_of(row.values.get(column), output) if column in WIDTHS else getattr(row, column)
    if value is None:
        return None
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def output_of(value: IndicatorValue | None, output: str | None) -> float | str | int | None:
    """The output asked for; without a name `macd_v`, or else the first one."""
    if value is None:
        return None
    named = output or ("macd_v" if "macd_v" in value.outputs else next(iter(value.outputs), ""))
    return value.outputs.get(named)


def stage_of(value: IndicatorValue | None) -> str | None:
    """The stage that a value says, where its indicator knows stages."""
    stage = None if value is None else value.outputs.get("stage")
    return stage if isinstance(stage, str) else None


def cell(row: Row, column: str, output: str | None) -> Cell:
    """What a row shows in a column."""
    if column == "symbol":
        return Cell(harmless(row.symbol), "bold")
    if column == "price":
        return Cell(price_text(row.price))
    if column == "change":
        return Cell(change_text(row.change), "" if row.change is None else "red" if row.change < 0 else "green")
    if column == "age":
        return Cell(f"{age_text(row.age)}{'!' if row.is_stale else ' '}", "bold yellow" if row.is_stale else "")
    if column == "gaps":
        return Cell(str(row.gaps), "bold yellow" if row.gaps else "dim")
    return _value_cell(row.values.get(column), output)


def _value_cell(value: IndicatorValue | None, output: str | None) -> Cell:
    sign = STAGES.get(stage_of(value) or "", NO_STAGE)
    return Cell(f"{value_text(value, output)} {sign.text:<2}", sign.style)


def value_text(value: IndicatorValue | None, output: str | None) -> str:
    """An output as a text, or how far its warm-up is. Points are told to a tenth."""
    shown = output_of(value, output)
    if value is None or shown is None:
        return UNKNOWN if value is None or value.have >= value.need else f"{value.have}/{value.need}"
    if isinstance(shown, float):
        return f"{shown:.1f}" if "stage" in value.outputs else f"{shown:.6g}"
    return harmless(str(shown))


def price_text(price: float | None) -> str:
    """A price, with as many places after the point as its size asks for."""
    if price is None:
        return UNKNOWN
    if price < 1e-5:
        return f"{price:.4g}"
    return f"{price:.{2 if price >= 1000 else 4 if price >= 1 else 6 if price >= 0.01 else 8}f}"


def change_text(change: float | None) -> str:
    """A change in percent."""
    return UNKNOWN if change is None else f"{change:+.2f}%"


def age_text(seconds: float | None) -> str:
    """A duration in one unit."""
    if seconds is None:
        return UNKNOWN
    for name, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{name}"
    return f"{max(0.0, seconds):.0f}s"
