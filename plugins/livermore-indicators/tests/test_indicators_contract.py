"""Every bundled indicator passes the contract, and refuses lengths that make no sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from livermore_indicators import AnchoredVwap, Atr, Bollinger, Dmi, Macd, Obv, Rsi, Stochastic, SuperTrend
from livermore_indicators.averages import EmaOfClose, RmaOfClose, SmaOfClose
from livermore_indicators.macd_v import MacdV, stage, zone

from livermore_core import Indicator
from livermore_core.testing import IndicatorContract
from livermore_core.testing.indicator_contract import candles


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


class TestMacd(IndicatorContract):
    def make(self) -> Indicator:
        return Macd()


class TestMacdWithASlowSignal(IndicatorContract):
    def make(self) -> Indicator:
        return Macd(fast=26, slow=3, signal=40)


class TestRsi(IndicatorContract):
    def make(self) -> Indicator:
        return Rsi()


class TestRsiOfOneCandle(IndicatorContract):
    def make(self) -> Indicator:
        return Rsi(1)


class TestAtr(IndicatorContract):
    def make(self) -> Indicator:
        return Atr()


class TestBollinger(IndicatorContract):
    def make(self) -> Indicator:
        return Bollinger()


class TestStochastic(IndicatorContract):
    def make(self) -> Indicator:
        return Stochastic()


class TestSlowStochastic(IndicatorContract):
    def make(self) -> Indicator:
        return Stochastic(14, 3, 5)


class TestDmi(IndicatorContract):
    def make(self) -> Indicator:
        return Dmi()


class TestDmiSmoothedLonger(IndicatorContract):
    def make(self) -> Indicator:
        return Dmi(7, 28)


class TestSuperTrend(IndicatorContract):
    def make(self) -> Indicator:
        return SuperTrend()


class TestSuperTrendAfar(IndicatorContract):
    def make(self) -> Indicator:
        return SuperTrend(14, 6.0)


class TestVwapOfTheDay(IndicatorContract):
    def make(self) -> Indicator:
        return AnchoredVwap()


class TestVwapOfTheWeek(IndicatorContract):
    def make(self) -> Indicator:
        return AnchoredVwap("week")


class TestVwapSinceAnInstant(IndicatorContract):
    def make(self) -> Indicator:
        return AnchoredVwap(candles(1)[0].time)


class TestObv(IndicatorContract):
    def make(self) -> Indicator:
        return Obv()

    def test_once_settled_it_does_not_matter_where_history_began_I1(self) -> None:
        """The level does, for ever; the change from candle to candle does not."""
        early, late, rows = self.make(), self.make(), candles(200)
        for candle in rows[:100]:
            early.update(candle)
        apart = {round(_number(early.update(candle)) - _number(late.update(candle)), 9) for candle in rows[100:]}
        assert len(apart) == 1
        assert apart != {0.0}


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


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


@pytest.mark.parametrize(
    ("lengths", "measured", "declared"),
    [({}, 168, 300), ({"slow": 200}, 948, 1273), ({"atr": 5}, 150, 166), ({"fast": 50, "slow": 100}, 572, 637)],
)
def test_macd_v_settles_as_the_slowest_of_its_averages_does(
    lengths: dict[str, int], measured: int, declared: int
) -> None:
    """`measured` is what `livermore check indicator` finds at 1e-2."""
    assert MacdV(**lengths).settle == declared > measured
