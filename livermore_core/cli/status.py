"""`livermore status`: what the running process says of itself; exit 0 only when it is live."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import moment_of, reading_options
from livermore_core.errors import ExitCode
from livermore_core.loading import reader
from livermore_core.status import follower, state_of


@click.command(epilog="Example: livermore status && echo live")
@reading_options
def status(as_json: bool, store: str | None, file: Path | None) -> int:
    """Print the state of the process and of what it follows, with reason codes. Exit 0 only when live."""
    row = asyncio.run(_row(file, store))
    state = state_of(follower(row))
    if state == "LIVE" and not _are_values_kept(row):
        state = "DEGRADED"
    if as_json:
        click.echo(json.dumps((row or {}) | {"state": state}, indent=1))
    else:
        _say(state, row)
    return ExitCode.OK if state == "LIVE" else ExitCode.ANSWER_IS_NO


async def _row(file: Path | None, store: str | None) -> dict[str, Any] | None:
    async with reader(file, store) as opened:
        return await opened.read_status()


def _are_values_kept(row: Mapping[str, Any] | None) -> bool:
    """Whether someone computes the values, where that may be a process apart."""
    rows = [row or {}, *(row or {}).get("processes", ())]
    keepers = [each for each in rows if "values" in each.get("holds", ["values"])]
    return any(state_of(each) in ("LIVE", "DEGRADED") for each in keepers)


def exchange_times(row: dict[str, Any] | None) -> dict[str, float]:
    """The time of each exchange, as it was when a status row was written."""
    exchanges = [] if row is None else row["exchanges"]
    times = {each["name"]: moment_of(each.get("exchange_time")) for each in exchanges}
    return {name: moment for name, moment in times.items() if moment is not None}


def seconds_since(row: dict[str, Any] | None) -> float:
    """How long ago a status row was written."""
    return 0.0 if row is None else max(0.0, time.time() - row["heartbeat_epoch"])


def _say(state: str, row: dict[str, Any] | None) -> None:
    click.echo(f"state     {state}")
    if row is None:
        return
    click.echo(f"process   pid {row['pid']} on {row['host']}, livermore {row['version']}, started {row['started']}")
    click.echo(f"heartbeat {row['heartbeat']}")
    for role, holders in row.get("holders", {}).items():
        click.echo(f"holds     {role}: {', '.join(holders) or 'nobody'}")
    for other in row.get("processes", ()):
        reasons = "".join(f", {name}: {reason}" for name, reason in other["reasons"].items())
        click.echo(f"beside    {state_of(other)} pid {other['pid']} on {other['host']}{reasons}")
    for name, reason in row["reasons"].items():
        click.echo(f"reason    {name}: {reason}")
    for each in row["exchanges"]:
        feed, budget = each["feed"], each["budget"]
        connected = "connected" if feed["connected"] else feed["reason"]
        click.echo(
            f"exchange  {each['name']}: {len(each['symbols'])} symbols, {each['series']} series, feed {connected},"
            f" {len(each['gaps'])} open gaps, exchange time {each['exchange_time']}"
        )
        click.echo(f"budget    {budget['requests']} requests, {budget['refused']} refused, pace {budget['pace']:.0%}")
        click.echo(f"candles   {each['revised']} revised, {each['native_differences']} native ones unlike their parts")
        for key, url in each.get("other_urls", {}).items():
            click.echo(f"address   {key} {url}, not the exchange's own")
        for trouble in each["troubles"]:
            click.echo(f"trouble   {each['name']}: {_trouble(trouble)}")
        for symbol, reason in {**each["unknown_symbols"], **each["halted_symbols"]}.items():
            click.echo(f"symbol    {symbol}: {reason}")


def _trouble(trouble: Mapping[str, Any]) -> str:
    """Its code and duration, whom it is about, and the cause, which mostly begins with the code."""
    about = f", {trouble['symbol']}" if "symbol" in trouble else ""
    cause = trouble["cause"].removeprefix(f"{trouble['reason']}: ")
    return f"{trouble['reason']} for {trouble['seconds']:.0f} s{about}{f': {cause}' if cause else ''}"
