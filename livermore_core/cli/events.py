"""`livermore events`: what was announced, and with --follow what is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
from msgspec.structs import asdict

from livermore_core.cli.output import outputs_text, reading_options
from livermore_core.consumer.events import Update, newest
from livermore_core.consumer.market import Market
from livermore_core.loading import reader
from livermore_core.market.events import COMMITTED, Event, kinds_of
from livermore_core.market.timeframe import iso
from livermore_core.masking import harmless
from livermore_core.store.protocol import CandleStore

NEWEST = 20
EPILOG = """\b
Examples:
  livermore events --limit 5
  livermore events --follow --snapshot --symbol BTC-USD --json
  livermore events --follow --after 1-4711 --kind candle.closed --json
"""


def _kinds(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> frozenset[str]:
    try:
        return kinds_of(given, COMMITTED)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(epilog=EPILOG)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--after", metavar="CURSOR", help='Only what came after it; "" begins with the oldest that is kept.')
@click.option("--snapshot", is_flag=True, help="Begin with the newest candle and the latest values of every series.")
@click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="Of this symbol, or glob, e.g. '*-USD'.")
@click.option("--timeframe", "timeframes", multiple=True, metavar="TIMEFRAME", help="Of this timeframe.")
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", callback=_kinds, help="Of this kind, e.g. candle.closed."
)
@click.option("--exchange", help="Of this exchange.")
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many.  [default: the newest {NEWEST}]")
@reading_options
def events(
    follow: bool,
    after: str | None,
    snapshot: bool,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    kinds: frozenset[str],
    exchange: str | None,
    limit: int | None,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Print what was announced, oldest first: the newest events of the log, or all after a cursor.

    With --follow what is announced from now on, or after the cursor. --limit then ends it. --json prints a line of JSON
    per event; its cursor is what --after takes to go on behind it, null before the end of a snapshot.
    """
    if snapshot and after is not None:
        raise click.UsageError("--snapshot begins anew, and takes no --after")
    asked = {"symbols": symbols or None, "timeframes": timeframes or None, "kinds": kinds or None, "exchange": exchange}
    asyncio.run(_print(reader(file, store), after, snapshot, limit, as_json, asked | {"follow": follow}))


async def _print(
    opening: AbstractAsyncContextManager[CandleStore],
    after: str | None,
    snapshot: bool,
    limit: int | None,
    as_json: bool,
    asked: dict[str, Any],
) -> None:
    async with opening as opened:
        market = Market(opened)
        if after is None and not snapshot and not asked["follow"]:
            for update in await newest(opened, lambda cursor: market.events(cursor, **asked), limit or NEWEST):
                _say(update, as_json)
            return
        if after is None and not snapshot:
            after = await market.cursor()
        count = 0
        async for update in market.events(after, **asked):
            _say(update, as_json)
            count += 1
            if count == limit:
                return


def _say(update: Update, as_json: bool) -> None:
    click.echo(json.dumps(as_row(update)) if as_json else harmless(_line(update.event)))


def as_row(update: Update) -> dict[str, Any]:
    """An update as JSON has it; what an event does not say is left out."""
    event = {name: value for name, value in asdict(update.event).items() if value is not None}
    for name in ("candle", "value"):
        if name in event:
            event[name] = _without_time(asdict(event[name]))
    return {"cursor": update.cursor} | event | {name: iso(event[name]) for name in ("time", "until") if name in event}


def _without_time(fields: dict[str, Any]) -> dict[str, Any]:
    """A candle or value without what its event says already, and what is nobody's but its maker's."""
    told = {name: value for name, value in fields.items() if name not in ("time", "revision", "state")}
    return told | ({"since": iso(told["since"])} if "since" in told else {})


def _line(event: Event) -> str:
    return f"{iso(event.time)}  {event.kind:<19} {event.symbol:<10} {event.timeframe:>3}  {_detail(event)}".rstrip()


def _detail(event: Event) -> str:
    revised = f" (revision {event.revision})" if event.revision else ""
    if event.candle is not None:
        return f"{event.candle.close:.10g} volume {event.candle.volume:.10g}{revised}"
    if (value := event.value) is not None:
        return f"{value.indicator} {outputs_text(value.outputs, value.have, value.need)}{revised}"
    if event.until is None:
        return f"withdrawn{revised}"
    said = event.reason if event.reason is not None else f"{event.count or 0} candles"
    return f"until {iso(event.until)}, {said}"
