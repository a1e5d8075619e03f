"""`livermore candles`: stored closed candles of a series."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import format_of, format_option, moment_of, reading_options, show
from livermore_core.consumer.market import Market
from livermore_core.loading import reader
from livermore_core.market.candle import Candle, merge
from livermore_core.market.series import Series
from livermore_core.market.timeframe import BASE, iso, width
from livermore_core.store.protocol import CandleStore

NEWEST = 20
COLUMNS = ("time", "open", "high", "low", "close", "volume", "revision", "source")


@click.command(epilog="Example: livermore candles BTC-USD 5m --limit 12 --format csv")
@click.argument("symbol")
@click.argument("timeframe")
@click.option("--exchange", help="Of which exchange, where several are stored.")
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many, newest; if no bound is given, {NEWEST}.")
@click.option("--since", metavar="TIME", help="From this time on (ISO 8601).")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--open", "with_open", is_flag=True, help="The open candle too, as far as closed lower ones tell.")
@format_option
@reading_options
def candles(
    symbol: str,
    timeframe: str,
    exchange: str | None,
    limit: int | None,
    since: str | None,
    until: str | None,
    with_open: bool,
    format: str | None,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Print the stored closed candles of SYMBOL and TIMEFRAME, oldest first."""
    width(timeframe)
    format = format_of(format, as_json)
    if limit is None and since is None and until is None:
        limit = NEWEST
    asked = {"last": limit, "since": moment_of(since), "until": moment_of(until), "exchange": exchange}
    found = asyncio.run(_found(reader(file, store), symbol, timeframe, with_open, asked))
    rows = [{"time": iso(row.time)} | {column: getattr(row, column) for column in COLUMNS[1:]} for row in found]
    show(rows, COLUMNS, format)


async def _found(
    opening: AbstractAsyncContextManager[CandleStore],
    symbol: str,
    timeframe: str,
    with_open: bool,
    asked: dict[str, Any],
) -> list[Candle]:
    async with opening as store:
        closed = await Market(store).candles(symbol, timeframe, **asked)
        opened = await _open(store, closed.series, asked["since"], asked["until"]) if with_open else []
    return [*closed, *opened][-(asked["last"] or 0) :]


async def _open(store: CandleStore, series: Series, since: int | None, until: int | None) -> list[Candle]:
    """The candle of the bucket after the newest closed one, from the closed minutes in it."""
    edge = (await store.coverage(series)).end
    if edge is None or series.timeframe == BASE or edge < (since or 0) or (until is not None and edge >= until):
        return []
    minutes = await store.candles(series._replace(timeframe=BASE), since=edge, until=edge + width(series.timeframe))
    candle = merge(edge, minutes, source="open")
    return [] if candle is None else [candle]
