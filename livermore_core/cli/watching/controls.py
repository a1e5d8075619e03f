"""What a person has chosen by keys: the order, the filter, where in the rows, and whether it is time to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livermore_core.cli.watching.keys import (
    BACKSPACE,
    DOWN,
    END,
    ENTER,
    ESCAPE,
    HOME,
    INTERRUPT,
    LEFT,
    PAGE_DOWN,
    PAGE_UP,
    RIGHT,
    UP,
)

LONGEST_FILTER = 40
HELP = (
    ("s, right", "sort by the next column"),
    ("S, left", "sort by the column before"),
    ("r", "the other way round"),
    ("/", "filter by the text typed; Enter keeps it, Esc clears it"),
    ("j k, down up", "a row down or up"),
    ("PgDn PgUp", "a page down or up; Home and End"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("change", "of the price, against that 24 hours before the last close"),
    ("age", "since the last close, by the exchange's clock; ! if stale"),
    ("gaps", "ranges of all timeframes of which nothing is known"),
    ("7/34", "so many candles of those that the indicator needs"),
)


@dataclass
class Controls:
    """Changed by `press`. `top` is the first row that is shown, `page` the number of rows that fit."""

    sort: str = "symbol"
    is_reversed: bool = False
    filter: str = ""
    is_typing: bool = False
    is_helping: bool = False
    has_quit: bool = False
    top: int = 0
    page: int = 1

    @property
    def falls(self) -> bool:
        """Whether the greatest comes first: by itself so of numbers, not of symbols."""
        return (self.sort != "symbol") != self.is_reversed

    def press(self, key: str, columns: Sequence[str]) -> None:
        """Do what a key asks for."""
        if key == INTERRUPT:
            self.has_quit = True
        elif self.is_helping:
            self.is_helping = False
        elif self.is_typing:
            self._type(key)
        else:
            self._command(key, columns)

    def fit(self, rows: int, page: int) -> None:
        """Stay within so many rows, of which a page fits."""
        self.page = max(1, page)
        self.top = max(0, min(self.top, rows - self.page))

    def _command(self, key: str, columns: Sequence[str]) -> None:
        steps = {"j": 1, DOWN: 1, "k": -1, UP: -1, PAGE_DOWN: self.page, " ": self.page, PAGE_UP: -self.page}
        if key in steps:
            self.top = max(0, self.top + steps[key])
        elif key in (HOME, END):
            self.top = 0 if key == HOME else 1 << 30
        elif key in ("s", RIGHT, "S", LEFT):
            self._sort_by(columns, 1 if key in ("s", RIGHT) else -1)
        elif key == "r":
            self.is_reversed = not self.is_reversed
        elif key == ESCAPE:
            self.filter = ""
        else:
            self.is_typing, self.is_helping, self.has_quit = key == "/", key == "?", key == "q"

    def _sort_by(self, columns: Sequence[str], step: int) -> None:
        at = columns.index(self.sort) if self.sort in columns else -step
        self.sort, self.top = columns[(at + step) % len(columns)], 0

    def _type(self, key: str) -> None:
        if key in (ENTER, ESCAPE):
            self.is_typing = False
            self.filter = self.filter if key == ENTER else ""
        elif key == BACKSPACE:
            self.filter = self.filter[:-1]
        elif len(key) == 1 and len(self.filter) < LONGEST_FILTER:
            self.filter += key
        self.top = 0
