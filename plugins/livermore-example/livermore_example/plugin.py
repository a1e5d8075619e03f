"""The entry point: what this plugin offers, and what it does in each stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Context, Exchange, IndicatorType


@hookimpl
def register_exchanges() -> Iterable[Exchange]:
    """Yield the exchange `example`."""
    from livermore_core import Exchange

    yield Exchange(
        name="example",
        summary="a market that follows a formula, for authors of plugins to look at",
        timeframes=("1m", "5m", "15m", "1h"),
        page_size=300,
        requests_per_second=50.0,
        open="livermore_example.exchange:open_exchange",
        settings="livermore_example.exchange:ExampleSettings",
        capabilities=frozenset({"candles", "feed", "dense_ids"}),
    )


@hookimpl
def register_indicators() -> Iterable[IndicatorType]:
    """Yield the indicator `rate-of-change`."""
    from livermore_core import IndicatorType

    yield IndicatorType("rate-of-change", "change of the close in percent", "livermore_example.indicator:RateOfChange")


@hookimpl
async def backfill(context: Context) -> None:
    """Fetch the history that is missing."""
    await context.backfill("example")


@hookimpl
async def indicators(context: Context) -> None:
    """Listen to every committed indicator value."""
    from livermore_example.turns import Turns

    await context.start(Turns(context).run, name="turns")


@hookimpl
async def ingest(context: Context) -> None:
    """Follow the exchange live."""
    await context.ingest("example")
