"""`livermore gaps`: what is unknown, why, and when it is asked for next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import reading_options, show
from livermore_core.loading import reader
from livermore_core.market.timeframe import iso
from livermore_core.status import NOT_RUNNING, STUCK, follower, state_of
from livermore_core.store.finding import find_symbol

COLUMNS = ("exchange", "symbol", "timeframe", "start", "end", "reason", "attempts", "next_attempt")


@click.command(epilog="Example: livermore gaps BTC-USD --json")
@click.argument("symbol", required=False)
@reading_options
def gaps(symbol: str | None, as_json: bool, store: str | None, file: Path | None) -> None:
    """List the unknown intervals between what is known, with the reason and the next attempt."""
    rows = asyncio.run(_rows(file, store, symbol))
    if not rows and not as_json:
        click.echo("no gaps", err=True)
        return
    show(rows, COLUMNS, "json" if as_json else "table")


async def _rows(file: Path | None, store: str | None, symbol: str | None) -> list[dict[str, Any]]:
    async with reader(file, store) as opened:
        chosen = await opened.series() if symbol is None else await find_symbol(opened, symbol)
        status = await opened.read_status()
        # What a process that is gone wanted is wanted by nobody.
        is_running = state_of(follower(status)) not in (NOT_RUNNING, STUCK)
        exchanges = status["exchanges"] if status is not None and is_running else ()
        wanted = [gap | {"exchange": each["name"]} for each in exchanges for gap in each["gaps"]]
        rows = []
        for series in chosen:
            coverage = await opened.coverage(series)
            for start, end in coverage.missing(coverage.start or 0, coverage.end or 0):
                rows.append(_row(series, iso(start), iso(end), wanted, "not.followed" if is_running else "not.running"))
    return rows


def _row(series: Any, start: str, end: str, wanted: list[dict[str, Any]], unwanted: str) -> dict[str, Any]:
    """A hole, with what the running process says of it: the want that overlaps it, or why there is none."""
    exchange, symbol, timeframe = series
    said = next(
        (
            want
            for want in wanted
            if (want["exchange"], want["symbol"], want["timeframe"]) == (exchange, symbol, timeframe)
            and want["start"] < end
            and start < want["end"]
        ),
        {},
    )
    return {
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": timeframe,
        "start": start,
        "end": end,
        "reason": said.get("reason", unwanted),
        "attempts": said.get("attempts", 0),
        "next_attempt": said.get("next_attempt"),
    }
