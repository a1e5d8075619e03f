"""Whatever befalls a series, its indicators end with the values of one that saw only what is true now, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livermore_indicators.plugin import register_indicators
from msgspec import structs
from reference_vectors import candles

from livermore_core import Candle, Indicator, IndicatorValue, SeriesHost
from livermore_core.contributions import resolve

KINDS = {each.name: each.reference for each in register_indicators()}
LONGEST = 240

Step = tuple[str, float]
# What happens next, and how far back (0..1 of what there is, or of the horizon) or by how much.
STEPS = st.tuples(
    st.sampled_from(["close", "close", "close", "peek", "correct", "recent", "withdraw", "insert", "restart"]),
    st.floats(0.0, 1.0),
)


class Life:
    """A series with one indicator on it, and what has been told of both."""

    def __init__(self, make: Callable[[], Indicator], name: str, empty: str, warm: int) -> None:
        self._make, self._empty = make, empty
        self.coming = candles(name)[:LONGEST]
        self.rows: list[Candle] = []
        self.told: dict[int, IndicatorValue] = {}
        self.host = self._fresh()
        self.rows, self.coming = self.coming[:warm], self.coming[warm:]
        # The end of what is known: a bucket below it without a candle is EMPTY.
        self.until = self.rows[-1].time + 60 if self.rows else 0
        self._rebuild()

    def step(self, kind: str, amount: float) -> None:
        """One thing happens."""
        if kind == "close":
            for _ in range(1 + int(amount * 40)):
                if self.coming:
                    self.rows.append(self.coming.pop(0))
                    self.until = self.rows[-1].time + 60
                    self._tell(self.host.commit_all(self.rows[-1:], self.until))
        elif kind == "peek" and self.coming:
            assert self.host.peek(self.coming[0]).provisional
        elif kind == "restart":
            state = self.host.state
            assert state is not None
            self.host = self._fresh()
            self.host.resume(state)
            self._replay()
        elif len(self.rows) > 1:
            self._change(kind, amount)

    def check(self) -> None:
        """Every value that can still be replayed is that of a new life from the same start."""
        clean = self._fresh()
        rows = [row for row in self.rows if row.time >= self.host.fed_from]
        right = {value.time: value for value in clean.commit_all(rows, self.until)}
        for time, value in self.told.items():
            if time > self.host.replayed_from:
                assert value == right[time], time

    def _fresh(self) -> SeriesHost:
        return SeriesHost("checked", self._make, width=60, empty=self._empty)

    def _change(self, kind: str, amount: float) -> None:
        back = 1 + int(amount * (min(len(self.rows), 60) if kind == "recent" else len(self.rows) - 1))
        at = max(0, len(self.rows) - back)
        row = self.rows[at]
        if kind == "withdraw":
            del self.rows[at]
        elif kind == "insert":
            time = row.time - 60
            if at and self.rows[at - 1].time == time:
                return
            self.rows.insert(at, structs.replace(row, time=time))
            row = self.rows[at]
        else:
            self.rows[at] = structs.replace(row, high=row.high * 1.01, close=row.high * 1.005, volume=row.volume + 1.0)
        self.told = {time: value for time, value in self.told.items() if time < row.time}
        if row.time > self.host.replayed_from and row.time >= self.host.fed_from:
            self._replay()
        else:
            self._rebuild()

    def _rebuild(self) -> None:
        self._tell(self.host.rebuild(self.rows[-self.host.depth :], self.until))

    def _replay(self) -> None:
        self._tell(self.host.replay([row for row in self.rows if row.time >= self.host.replay_since], self.until))

    def _tell(self, values: list[IndicatorValue]) -> None:
        self.told.update((value.time, value) for value in values)


@pytest.mark.parametrize("empty", ["skip", "carry"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_any_split_previews_corrections_and_restarts_end_bit_equal_I4(kind: str, empty: str) -> None:
    make = resolve(KINDS[kind])

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["walk", "sparse"]), st.integers(0, 200), st.lists(STEPS, min_size=4, max_size=12))
    def lives(name: str, warm: int, steps: list[Step]) -> None:
        life = Life(make, name, empty, warm)
        for step in steps:
            life.step(*step)
            life.check()

    lives()
