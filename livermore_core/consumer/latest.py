"""The latest value of each indicator on a series, and how much of a market it speaks of."""

from __future__ import annotations

from msgspec.structs import asdict

from livermore_core.indicators.liquidity import WINDOW, age, tier
from livermore_core.market.events import IndicatorValue
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.store.protocol import CandleStore


class LatestValue(IndicatorValue, frozen=True, kw_only=True, gc=False):
    """A value with its series, its `age` in buckets that closed since, and the `liquidity` of the series.

    `liquidity` is high, medium or low where less than a fifth, less than half, or more of what is known of the last
    100 buckets had no trade.
    """

    series: Series
    age: int
    liquidity: str


async def latest_values(store: CandleStore, series: Series) -> list[LatestValue]:
    """The latest value of each indicator on the series, sorted by indicator."""
    step, coverage = WIDTHS[series.timeframe], await store.coverage(series)
    end = coverage.end or 0
    start = max(end - WINDOW * step, coverage.start or 0)
    known = sum(until - since for since, until in coverage.within(start, end)) // step
    liquidity = tier(await store.count(series, start, end), known)
    return [
        LatestValue(
            **asdict(value) | {"state": None},
            series=series,
            age=age(value.time, end, step),
            liquidity=liquidity,
        )
        for value in await store.values(series)
    ]
