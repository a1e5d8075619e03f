"""`livermore indicators`: the latest values of a symbol, or what is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.finding import find_series, find_symbol
from livermore_core.cli.loading import reader, tolerant_plugins
from livermore_core.cli.output import reading_options, show
from livermore_core.indicators.liquidity import WINDOW, age, tier
from livermore_core.market.timeframe import WIDTHS, iso, width

COLUMNS = ("symbol", "timeframe", "indicator", "time", "outputs", "settled", "provisional", "age", "liquidity")


EPILOG = """\b
Examples:
  livermore indicators BTC-USD 5m --json
  livermore indicators --list
"""


@click.command(epilog=EPILOG)
@click.argument("symbol", required=False)
@click.argument("timeframe", required=False)
@click.option("--list", "listing", is_flag=True, help="List the indicators that are installed instead.")
@click.option("--exchange", help="Of which exchange, where several are stored.")
@reading_options
def indicators(
    symbol: str | None,
    timeframe: str | None,
    listing: bool,
    exchange: str | None,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Print the latest value of each indicator of SYMBOL, of every timeframe or of TIMEFRAME.

    `age` is in buckets that closed since; `liquidity` is high, medium or low where less than a fifth, less than half,
    or more of what is known of the last 100 buckets had
    no trade. --json also says revision, since, and have and need while it warms up.

    With --list: every installed indicator with its plugin, parameters and defaults, outputs, warm-up and settle.
    """
    if listing:
        _list(symbol, as_json, file)
        return
    if symbol is None:
        raise click.UsageError("Missing argument 'SYMBOL'.")
    if timeframe is not None:
        width(timeframe)
    rows = asyncio.run(_rows(file, store, symbol, timeframe, exchange))
    if not as_json:
        rows = [row | {"outputs": _outputs(row["outputs"])} for row in rows]
    show(rows, COLUMNS, "json" if as_json else "table")


def _list(symbol: str | None, as_json: bool, file: Path | None) -> None:
    from livermore_core.cli.indicator_types import list_types

    if symbol is not None:
        raise click.UsageError("--list is of what is installed, and takes no symbol")
    list_types(tolerant_plugins(file), as_json)


async def _rows(
    file: Path | None, store: str | None, symbol: str, timeframe: str | None, exchange: str | None
) -> list[dict[str, Any]]:
    async with reader(file, store) as opened:
        if timeframe is None:
            found = await find_symbol(opened, symbol, exchange)
        else:
            found = [await find_series(opened, symbol, exchange, timeframe)]
        rows = []
        for series in sorted(found, key=lambda series: WIDTHS[series.timeframe]):
            step, coverage = WIDTHS[series.timeframe], await opened.coverage(series)
            end = coverage.end or 0
            start = max(end - WINDOW * step, coverage.start or 0)
            known = sum(until - since for since, until in coverage.within(start, end)) // step
            liquidity = tier(await opened.count(series, start, end), known)
            for value in await opened.values(series):
                rows.append(
                    {
                        "symbol": series.symbol,
                        "timeframe": series.timeframe,
                        "indicator": value.indicator,
                        "time": iso(value.time),
                        "outputs": value.outputs,
                        "settled": value.settled,
                        "provisional": value.provisional,
                        "revision": value.revision,
                        "have": value.have,
                        "need": value.need,
                        "since": iso(value.since),
                        "age": age(value.time, end, step),
                        "liquidity": liquidity,
                    }
                )
    return rows


def _outputs(outputs: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4f}" if isinstance(value, float) else f"{name}={value}" for name, value in outputs.items()
    )
