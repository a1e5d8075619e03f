"""Functions of each kind pass the contract: windowed, recursive, path-dependent, sums, patterns, several outputs."""

from __future__ import annotations

import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

from livermore_talib import functions

from livermore_core import Indicator
from livermore_core.testing import IndicatorContract
from livermore_core.testing.indicator_contract import candles


class TestRsi(IndicatorContract):
    def make(self) -> Indicator:
        return functions.rsi()


class TestSma(IndicatorContract):
    def make(self) -> Indicator:
        return functions.sma(timeperiod=20)


class TestMacd(IndicatorContract):
    def make(self) -> Indicator:
        return functions.macd()


class TestMacdOfOtherAverages(IndicatorContract):
    def make(self) -> Indicator:
        return functions.macdext(fastmatype=1, slowmatype=3, signalmatype=13)


class TestBollinger(IndicatorContract):
    def make(self) -> Indicator:
        return functions.bbands(timeperiod=10, nbdevup=3)


class TestStochasticOfRsi(IndicatorContract):
    def make(self) -> Indicator:
        return functions.stochrsi()


class TestAdx(IndicatorContract):
    def make(self) -> Indicator:
        return functions.adx()


class TestKama(IndicatorContract):
    def make(self) -> Indicator:
        return functions.kama(timeperiod=10)


class TestSar(IndicatorContract):
    def make(self) -> Indicator:
        return functions.sar()


class TestSupertrend(IndicatorContract):
    def make(self) -> Indicator:
        return functions.supertrend()


class TestSine(IndicatorContract):
    def make(self) -> Indicator:
        return functions.ht_sine()


class TestEngulfing(IndicatorContract):
    def make(self) -> Indicator:
        return functions.cdlengulfing()


class TestAverageOfVolume(IndicatorContract):
    def make(self) -> Indicator:
        return functions.pvo()


class TestObv(IndicatorContract):
    def make(self) -> Indicator:
        return functions.obv()

    def test_once_settled_it_does_not_matter_where_history_began_I1(self) -> None:
        """The level does, for ever; the change from candle to candle does not."""
        early, late, rows = self.make(), self.make(), candles(200)
        for candle in rows[:100]:
            early.update(candle)
        apart = {round(early.update(candle) - late.update(candle), 9) for candle in rows[100:]}  # type: ignore[operator]
        assert len(apart) == 1
        assert apart != {0.0}
