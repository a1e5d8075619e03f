"""What the ledger makes of words that change: a row withdrawn, in doubt, and told again."""

from __future__ import annotations

import pytest

from livermore_core import Candle, Series
from livermore_core.market.intervals import Intervals
from livermore_core.market.ledger import Change, Ledger

BUCKET, END = 60, 120
ROW = Candle(BUCKET, 10.0, 11.0, 9.0, 10.5, 3.0)


class Book:
    """A ledger with the rows that a store would hold; every change is announced in `said`."""

    def __init__(self) -> None:
        self.ledger = Ledger(Series("memory", "AAA-USD", "1m"), Intervals(), {})
        self.rows: dict[int, Candle] = {}
        self.said: list[tuple[str, int, bool]] = []

    def learn(self, *rows: Candle) -> None:
        """Everything about the bucket is known: these rows, or that it is EMPTY."""
        change = Change(self.ledger, 0.0)
        change.learn([(BUCKET, END)], rows, list(self.rows.values()), True)
        self._apply(change)

    def retract(self) -> None:
        """What is known of the bucket does not stand."""
        change = Change(self.ledger, 0.0)
        change.retract(BUCKET, END, list(self.rows.values()), "ids.hole")
        self._apply(change)

    def _apply(self, change: Change) -> None:
        for time in change.hidden:
            self.rows.pop(time, None)
        self.rows.update(change.rows)
        change.apply()
        self.said += [
            (event.kind, event.revision, event.candle is not None) for event in change.events if not event.until
        ]


def test_a_row_that_was_withdrawn_and_comes_back_after_a_doubt_is_announced_E1_S8() -> None:
    book = Book()
    book.learn(ROW)
    book.learn()
    book.retract()
    book.learn(ROW)
    assert book.said == [("candle.closed", 0, True), ("candle.revised", 1, False), ("candle.revised", 2, True)]
    assert book.rows[BUCKET].revision == 2


def test_a_row_that_is_withdrawn_stays_so_after_a_doubt_without_another_word_E3() -> None:
    book = Book()
    book.learn(ROW)
    book.learn()
    book.retract()
    book.learn()
    assert book.said == [("candle.closed", 0, True), ("candle.revised", 1, False)]
    assert book.rows == {}


@pytest.mark.parametrize("volume", [3.0, 4.0])
def test_a_row_in_doubt_comes_back_silently_or_as_a_revision_S7(volume: float) -> None:
    book = Book()
    book.learn(ROW)
    book.retract()
    book.learn(Candle(BUCKET, 10.0, 11.0, 9.0, 10.5, volume))
    assert book.said[1:] == ([] if volume == ROW.volume else [("candle.revised", 1, True)])
