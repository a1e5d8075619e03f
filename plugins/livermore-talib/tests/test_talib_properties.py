"""Any split into warm and live, any previews and corrections: committed values are TA-Lib's own, to the bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talib_batch import batch

from livermore_core import Candle, SeriesHost
from livermore_core.conformance.series import corrected, market
from livermore_core.contributions import resolve

TEN: dict[str, dict[str, float]] = {
    "rsi": {"timeperiod": 5},
    "macd": {},
    "bbands": {"timeperiod": 10, "matype": 6},
    "adx": {"timeperiod": 7},
    "stochrsi": {"timeperiod": 9, "fastd_matype": 1},
    "supertrend": {"multiplier": 1.5},
    "sar": {},
    "obv": {},
    "ht_sine": {},
    "cdlengulfing": {},
}
COUNT = 260
SMALL = settings(derandomize=True, database=None, deadline=None, max_examples=40, suppress_health_check=[*HealthCheck])
Told = dict[int, tuple[Any, ...]]


@cache
def rows() -> tuple[Candle, ...]:
    return tuple(market(COUNT, seed=11))


def as_told(values: Any) -> Told:
    return {value.time: tuple(value.outputs.values()) for value in values}


class Life:
    """A host over a series that grows, is looked at, and is mended; what it last told of each candle."""

    def __init__(self, function: str, warm: int) -> None:
        self.host = SeriesHost(function, lambda: resolve(f"livermore_talib.functions:{function}")(**TEN[function]))
        self.known = list(rows()[:warm])
        self.told = as_told(self.host.rebuild(self.known))

    def grow(self, count: int) -> None:
        for candle in rows()[len(self.known) : len(self.known) + count]:
            self.known.append(candle)
            self.told |= as_told([self.host.commit(candle)])

    def look(self, times: int) -> None:
        """Previews of a candle that is still open, each another one."""
        for _ in range(times if len(self.known) < COUNT else 0):
            self.host.peek(corrected(rows()[len(self.known)]))
            self.host.peek(rows()[len(self.known)])

    def mend(self, back: int) -> None:
        """A change of the candle so far back: within the horizon by replay, beyond it from all candles."""
        if back >= len(self.known):
            return
        at = len(self.known) - 1 - back
        self.known[at] = corrected(self.known[at])
        if self.known[at].time > self.host.replayed_from:
            later = [candle for candle in self.known if candle.time > self.host.replayed_from]
            self.told |= as_told(self.host.replay(later))
        else:
            # What was told before the first of these is no longer true, and a reader of the store is told so.
            self.told = as_told(self.host.rebuild(self.known))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(1, 90)),
        st.tuples(st.just("look"), st.integers(1, 3)),
        st.tuples(st.just("mend"), st.integers(0, 200)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("function", TEN)
@SMALL
@given(warm=st.integers(0, COUNT), actions=ACTIONS)
def test_committed_values_are_those_of_talib_whatever_was_done_before_I2_I4(
    function: str, warm: int, actions: list[tuple[str, int]]
) -> None:
    life = Life(function, warm)
    for name, count in actions:
        getattr(life, name)(count)
    life.grow(COUNT)
    expected = batch(function.upper(), life.known, life.host.head.parameters)  # type: ignore[attr-defined]
    truth = {candle.time: values for candle, values in zip(life.known, expected, strict=True)}
    assert life.told == {time: truth[time] for time in life.told}
    assert len(life.told) >= min(COUNT, 64)


@pytest.mark.parametrize("function", TEN)
def test_a_preview_is_what_the_candle_gives_once_it_is_closed(function: str) -> None:
    life = Life(function, 0)
    for candle in rows():
        peeked = life.host.peek(candle)
        assert peeked.outputs == life.host.commit(candle).outputs
