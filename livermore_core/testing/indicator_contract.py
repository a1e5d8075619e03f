"""The contract of an indicator: subclass IndicatorContract in its tests and say how to `make` it."""

from __future__ import annotations

import random
from math import isfinite

import pytest

from livermore_core.indicators.host import SeriesHost
from livermore_core.indicators.indicator import Indicator, Value
from livermore_core.market.candle import Candle


def candles(count: int, seed: int = 1, start: float = 100.0) -> list[Candle]:
    """A seeded random walk with flat stretches and holes, as thin products have them."""
    chance = random.Random(seed)
    rows: list[Candle] = []
    time, price = 1_704_067_200, start
    for _ in range(count):
        time += 60 * (1 if chance.random() < 0.9 else chance.randrange(2, 30))
        opening = price
        if chance.random() < 0.9:
            price = max(0.01, price * (1 + chance.gauss(0, 0.004)))
        high = max(opening, price) * (1 + abs(chance.gauss(0, 0.001)))
        low = min(opening, price) * (1 - abs(chance.gauss(0, 0.001)))
        rows.append(Candle(time, opening, high, low, price, chance.uniform(0.1, 20.0)))
    return rows


class IndicatorContract:
    """What every indicator must do. `make` gives a new one; `tolerance` is how near a settled value must be."""

    tolerance = 0.02

    def make(self) -> Indicator:
        """A new indicator."""
        raise NotImplementedError

    def test_results_have_the_declared_outputs_and_are_finite_I3(self) -> None:
        made = self.make()
        for candle in candles(made.warmup + 50):
            results = _results(made, made.update(candle))
            assert all(value is None or not isinstance(value, float) or isfinite(value) for value in results)

    def test_the_first_full_result_comes_after_warmup(self) -> None:
        made = self.make()
        full = [
            position
            for position, candle in enumerate(candles(made.warmup + 20), start=1)
            if None not in _results(made, made.update(candle))
        ]
        assert full
        assert full[0] == made.warmup <= made.settle

    @pytest.mark.parametrize("split", [0, 1, 17, 60])
    def test_a_dump_continues_to_the_bit_I2(self, split: int) -> None:
        rows = candles(120)
        one, other = self.make(), self.make()
        for candle in rows[:split]:
            one.update(candle)
        other.load(one.dump())
        assert [one.update(candle) for candle in rows[split:]] == [other.update(candle) for candle in rows[split:]]

    def test_a_preview_leaves_no_trace(self) -> None:
        made, untouched = self.make(), self.make()
        for candle in candles(80):
            preview = made.peek(candle)
            assert preview == made.copy().update(candle)
            assert made.update(candle) == preview == untouched.update(candle)

    def test_a_correction_equals_a_run_that_never_knew_the_mistake_I4(self) -> None:
        rows = candles(120)
        live, clean = SeriesHost("x", self.make), SeriesHost("x", self.make)
        for candle in rows:
            live.commit(candle)
        revised = Candle(rows[90].time, rows[90].open, rows[90].high * 1.01, rows[90].low, rows[90].close, 1.0)
        rows[90] = revised
        replayed = live.replay([candle for candle in rows if candle.time > live.replayed_from])
        assert replayed == [clean.commit(candle) for candle in rows][-len(replayed) :]

    def test_once_settled_it_does_not_matter_where_history_began_I1(self) -> None:
        made = self.make()
        rows = candles(3 * made.settle + 100)
        late = self.make()
        for candle in rows[: -made.settle]:
            made.update(candle)
        for candle in rows[-made.settle :]:
            long, short = _results(made, made.update(candle)), _results(late, late.update(candle))
        for one, other in zip(long, short, strict=True):
            if isinstance(one, float) and isinstance(other, float):
                assert one == pytest.approx(other, abs=self.tolerance, rel=1e-4)


def _results(made: Indicator, result: tuple[Value, ...] | Value) -> tuple[Value, ...]:
    if result is None:
        return (None,) * len(made.outputs)
    results = result if isinstance(result, tuple) else (result,)
    assert len(results) == len(made.outputs)
    return results
