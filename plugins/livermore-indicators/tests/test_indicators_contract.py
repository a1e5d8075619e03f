"""Every bundled indicator passes the contract, and refuses lengths that make no sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from livermore_indicators.averages import EmaOfClose, RmaOfClose, SmaOfClose
from livermore_indicators.macd_v import MacdV, stage, zone

from livermore_core import Indicator
from livermore_core.testing import IndicatorContract


class TestMacdV(IndicatorContract):
    def make(self) -> Indicator:
        return MacdV()


class TestEma(IndicatorContract):
    def make(self) -> Indicator:
        return EmaOfClose(20)


class TestRma(IndicatorContract):
    def make(self) -> Indicator:
        return RmaOfClose(14)


class TestSma(IndicatorContract):
    def make(self) -> Indicator:
        return SmaOfClose(20)


@pytest.mark.parametrize("make", [lambda: MacdV(fast=0), lambda: MacdV(ranging_bars=-1), lambda: EmaOfClose(0)])
def test_a_length_below_one_is_refused(make: Callable[[], Indicator]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, was"):
        make()


def test_settle_of_a_long_average_is_what_the_design_says() -> None:
    assert EmaOfClose(200).settle == 1273


@pytest.mark.parametrize(
    ("value", "signal", "neutral", "expected"),
    [
        (-150.1, 0.0, 0, ("oversold", "oversold")),
        (-150.0, 0.0, 0, ("negative", "reversing")),
        (-50.0, -60.0, 0, ("neutral", "rebounding")),
        (-50.0, -40.0, 0, ("neutral", "retracing")),
        (50.0, 50.0, 19, ("neutral", "rebounding")),
        (50.0, 50.0, 20, ("neutral", "ranging")),
        (50.1, 50.0, 0, ("positive", "rallying")),
        (150.1, 150.0, 0, ("overbought", "overbought")),
        (150.1, 150.2, 0, ("overbought", "retracing")),
    ],
)
def test_zones_and_stages_on_their_edges(value: float, signal: float, neutral: int, expected: tuple[str, str]) -> None:
    assert (zone(value), stage(value, signal, neutral, 20)) == expected
