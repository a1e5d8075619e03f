"""`livermore indicators`: the latest values of a symbol, or what is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import format_of, format_option, outputs_text, reading_options, show
from livermore_core.consumer.latest import LatestValue
from livermore_core.consumer.market import Market
from livermore_core.loading import reader, tolerant_plugins
from livermore_core.market.timeframe import iso, width

COLUMNS = ("symbol", "timeframe", "indicator", "time", "outputs", "settled", "provisional", "age", "liquidity")
STANDING = ("settled", "provisional", "revision", "have", "need", "since", "age", "liquidity")
TOLD = ("indicator", "time", "outputs", *STANDING)
CSV_COLUMNS = ("exchange", "symbol", "timeframe", "indicator", "time", "output", "value", *STANDING)

EPILOG = """\b
Examples:
  livermore indicators BTC-USD 5m --json
  livermore indicators BTC-USD --format csv
  livermore indicators --list
"""


@click.command(epilog=EPILOG)
@click.argument("symbol", required=False)
@click.argument("timeframe", required=False)
@click.option("--list", "listing", is_flag=True, help="List the indicators that are installed instead.")
@click.option("--exchange", help="Of which exchange, where several are stored.")
@format_option
@reading_options
def indicators(
    symbol: str | None,
    timeframe: str | None,
    listing: bool,
    exchange: str | None,
    format: str | None,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Print the latest value of each indicator of SYMBOL, of every timeframe or of TIMEFRAME.

    `age` is in buckets that closed since; `liquidity` is high, medium or low where less than a fifth, less than half,
    or more of what is known of the last 100 buckets had
    no trade. JSON also says revision, since, and have and need while it warms up; CSV has a row per output.

    With --list: every installed indicator with its plugin, parameters and defaults, outputs, warm-up and settle.
    """
    format = format_of(format, as_json)
    if listing:
        _list(symbol, format, file)
        return
    if symbol is None:
        raise click.UsageError("Missing argument 'SYMBOL'.")
    if timeframe is not None:
        width(timeframe)
    rows = asyncio.run(_rows(file, store, symbol, timeframe, exchange))
    if format.startswith("json"):
        show(rows, (), format)
    elif format == "csv":
        show([line for row in rows for line in _by_output(row)], CSV_COLUMNS, format)
    else:
        show([row | {"outputs": outputs_text(row["outputs"], row["have"], row["need"])} for row in rows], COLUMNS)


def _list(symbol: str | None, format: str, file: Path | None) -> None:
    from livermore_core.cli.indicator_types import list_types

    if symbol is not None:
        raise click.UsageError("--list is of what is installed, and takes no symbol")
    list_types(tolerant_plugins(file), format)


async def _rows(
    file: Path | None, store: str | None, symbol: str, timeframe: str | None, exchange: str | None
) -> list[dict[str, Any]]:
    async with reader(file, store) as opened:
        return [_row(value) for value in await Market(opened).indicators(symbol, timeframe, exchange=exchange)]


def _row(value: LatestValue) -> dict[str, Any]:
    """A value as JSON has it."""
    exchange, symbol, timeframe = value.series
    told = {name: getattr(value, name) for name in TOLD}
    about = {"symbol": symbol, "timeframe": timeframe, "exchange": exchange}
    return about | told | {"time": iso(value.time), "since": iso(value.since)}


def _by_output(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row per output: the columns are the same whatever is installed."""
    for output, value in row["outputs"].items():
        yield {**row, "output": output, "value": value}
