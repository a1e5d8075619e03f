"""What an author checks: the contracts, and the whole plugin on virtual time with the kit."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from livermore_example.exchange import ExampleClient, ExampleSettings, open_exchange
from livermore_example.indicator import RateOfChange
from livermore_example.turns import Turns
from livermore_indicators import IndicatorCalculationService

from livermore_core.testing import ExchangeContract, IndicatorContract, MemoryStore, harness, run_virtual


class TestExampleExchange(ExchangeContract):
    symbol = "SINE-USD"
    timeframes = ("1m", "5m", "15m", "1h")

    def run(self, main: Any) -> Any:
        return run_virtual(main)

    @pytest.fixture
    def opened(self) -> Any:
        def open_one() -> AbstractAsyncContextManager[ExampleClient]:
            return open_exchange(ExampleSettings(speed=10.0))

        return open_one


class TestRateOfChange(IndicatorContract):
    def make(self) -> RateOfChange:
        return RateOfChange()


@pytest.mark.parametrize("length", [0, -1])
def test_a_length_that_makes_no_sense_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"length must be at least 1, was {length}"):
        RateOfChange(length)


async def follow(hours: float) -> list[str]:
    async with (
        open_exchange(ExampleSettings()) as client,
        harness(
            client,
            MemoryStore(),
            timeframes=("1m", "5m", "15m", "1h"),
            indicators={"rate-of-change": {}},
            indicator_types={"rate-of-change": "livermore_example.indicator:RateOfChange"},
        ) as found,
    ):
        await found.following.backfill(found.context)
        await IndicatorCalculationService(found.context).start()
        await found.context.start(Turns(found.context).run, name="turns")
        await found.following.ingest(found.context)
        await asyncio.sleep(hours * 3600)
        assert found.following.gaps() == []
        return [event for _, event, _ in found.said]


def test_it_follows_its_exchange_and_tells_of_turns() -> None:
    said = run_virtual(follow(6.0))
    assert said.index("backfill.completed") < said.index("feed.connected") < said.index("example.turned")
