"""What a page of candles may look like that is not what it should be: rows as the wire prints them, newest first."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from livermore_simulator import wire

Row = dict[str, str]

POISON = (
    {"close": "NaN"},
    {"high": "Infinity"},
    {"open": "1e999"},
    {"low": "-1"},
    {"close": "0"},
    {"volume": "9" * 5000},
    {"open": "1_0"},
    {"low": "１２"},
    {"high": "0.0000001"},
    {"volume": ""},
)


class Page(NamedTuple):
    """A page before it is mutated: `earlier` are the rows just before it, `amount` what the fault says (0: nothing)."""

    rows: list[Row]
    earlier: list[Row]
    width: int
    now: float
    amount: float
    chance: Random


def _reverse(page: Page) -> list[Row]:
    return page.rows[::-1]


def _shuffle(page: Page) -> list[Row]:
    return page.chance.sample(page.rows, len(page.rows))


def _dup(page: Page) -> list[Row]:
    """The oldest row once more, and the newest one with another volume before itself: the last one said is true."""
    return [row | {"volume": "0.5"} for row in page.rows[:1]] + page.rows + page.rows[-1:]


def _drop(page: Page) -> list[Row]:
    """Rows are late for `amount` seconds after their end, the one in progress is not. More than 90 s is a lie."""
    late = page.now - (page.amount or 60.0)
    return [row for row in page.rows if not late < int(row["start"]) + page.width <= page.now]


def _revise(page: Page) -> list[Row]:
    """The newest `amount` ended rows close at their high, with half as much volume again."""
    ended = [row for row in page.rows if int(row["start"]) + page.width <= page.now][: int(page.amount) or 3]
    return [
        row | {"close": row["high"], "volume": wire.number(float(row["volume"]) * 1.5)} if row in ended else row
        for row in page.rows
    ]


def _add_open(page: Page) -> list[Row]:
    """The bucket in progress, and the next one, which has not begun."""
    opened = int(page.now // page.width) * page.width
    known = {row["start"] for row in page.rows}
    added = [str(time) for time in (opened + page.width, opened) if str(time) not in known]
    return [page.rows[0] | {"start": time} for time in added] + page.rows if page.rows else []


def _off_grid(page: Page) -> list[Row]:
    return [row | {"start": str(int(row["start"]) + 7)} for row in page.rows[:1]] + page.rows


def _out_of_range(page: Page) -> list[Row]:
    return page.rows + page.earlier


def _cap(page: Page) -> list[Row]:
    """The newest `amount` rows alone, and no word of it: a lie about the others."""
    return page.rows[: int(page.amount) or 50]


def _poison(page: Page) -> list[Row]:
    """Every `amount`-th row has a value that can be none."""
    every = int(page.amount) or 5
    return [
        row if position % every else row | POISON[position // every % len(POISON)]
        for position, row in enumerate(page.rows)
    ]


def _scale(page: Page) -> list[Row]:
    """Every price is so many times what it was."""
    factor = page.amount or 100.0
    return [
        row | {name: wire.number(float(row[name]) * factor) for name in ("open", "high", "low", "close")}
        for row in page.rows
    ]


MUTATIONS: dict[str, Callable[[Page], list[Row]]] = {
    "reverse": _reverse,
    "shuffle": _shuffle,
    "dup": _dup,
    "drop": _drop,
    "revise": _revise,
    "add_open": _add_open,
    "off_grid": _off_grid,
    "out_of_range": _out_of_range,
    "cap": _cap,
    "poison": _poison,
    "scale": _scale,
}
