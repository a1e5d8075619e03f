"""The contract of an indicator: subclass IndicatorContract in its tests and say how to `make` it.

The same checks as `livermore check indicator`, on fewer candles.
"""

from __future__ import annotations

import random

import pytest

from livermore_core.conformance import prices, promises
from livermore_core.conformance.running import judged
from livermore_core.indicators.indicator import Indicator
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
        promises.sound_results(self.make, candles(self.make().warmup + 50))

    def test_the_first_full_result_comes_after_warmup(self) -> None:
        promises.declaration(self.make)
        promises.first_full_result(self.make, candles(self.make().warmup + 20))

    @pytest.mark.parametrize("split", [0, 1, 17, 60])
    def test_a_dump_continues_to_the_bit_I2(self, split: int) -> None:
        promises.dumps(self.make, candles(120), [split])

    def test_a_preview_leaves_no_trace(self) -> None:
        promises.previews(self.make, candles(80))

    def test_a_correction_equals_a_run_that_never_knew_the_mistake_I4(self) -> None:
        promises.corrections(self.make, candles(120), 90)

    def test_a_copy_goes_its_own_way(self) -> None:
        promises.copies(self.make, candles(120), [0, 1, 17, 60])

    def test_a_value_does_not_depend_on_what_comes_after_it(self) -> None:
        promises.no_look_ahead(self.make, candles(self.make().warmup + 50))

    def test_prices_that_stand_still_break_and_blow_up_nothing(self) -> None:
        prices.stands_flat(self.make, candles(self.make().warmup + 50))

    def test_once_settled_it_does_not_matter_where_history_began_I1(self) -> None:
        made = self.make()
        rows = candles(3 * made.settle + 100)
        late = self.make()
        for candle in rows[: -made.settle]:
            made.update(candle)
        for candle in rows[-made.settle :]:
            long, short = judged(made, made.update(candle)), judged(late, late.update(candle))
        for one, other in zip(long, short, strict=True):
            if isinstance(one, float) and isinstance(other, float):
                assert one == pytest.approx(other, abs=self.tolerance, rel=1e-4)
