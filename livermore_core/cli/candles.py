"""`livermore candles`: stored closed candles of a series."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import format_option, moment_of, reading_options, show
from livermore_core.loading import reader
from livermore_core.market.candle import Candle, merge
from livermore_core.market.series import Series
from livermore_core.market.timeframe import BASE, iso, width
from livermore_core.store.finding import find_series
from livermore_core.store.protocol import CandleStore

COLUMNS = ("time", "open", "high", "low", "close", "volume", "revision", "source")


@click.command(epilog="Example: livermore candles BTC-USD 5m --limit 12 --format csv")
@click.argument("symbol")
@click.argument("timeframe")
@click.option("--exchange", help="Of which exchange, where several are stored.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many, newest.")
@click.option("--since", metavar="TIME", help="From this time on (ISO 8601).")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--open", "with_open", is_flag=True, help="The open candle too, as far as closed lower ones tell.")
@format_option
@reading_options
def candles(
    symbol: str,
    timeframe: str,
    exchange: str | None,
    limit: int,
    since: str | None,
    until: str | None,
    with_open: bool,
    format: str,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Print the stored closed candles of SYMBOL and TIMEFRAME, oldest first."""
    width(timeframe)
    asked = {"last": limit, "since": moment_of(since), "until": moment_of(until)}
    rows = asyncio.run(_rows(file, store, symbol, timeframe, exchange, asked, with_open))
    show(rows, COLUMNS, "json" if as_json else format)


async def _rows(
    file: Path | None,
    store: str | None,
    symbol: str,
    timeframe: str,
    exchange: str | None,
    asked: dict[str, Any],
    with_open: bool,
) -> list[dict[str, Any]]:
    async with reader(file, store) as opened:
        series = await find_series(opened, symbol, exchange, timeframe)
        found = await opened.candles(series, **asked)
        if with_open:
            found = [*found, *await _open(opened, series)]
    return [{"time": iso(row.time)} | {column: getattr(row, column) for column in COLUMNS[1:]} for row in found]


async def _open(store: CandleStore, series: Series) -> list[Candle]:
    """The candle of the bucket after the newest closed one, from the closed minutes in it."""
    edge = (await store.coverage(series)).end
    if edge is None or series.timeframe == BASE:
        return []
    minutes = await store.candles(series._replace(timeframe=BASE), since=edge, until=edge + width(series.timeframe))
    candle = merge(edge, minutes, source="open")
    return [] if candle is None else [candle]
