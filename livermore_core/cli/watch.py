"""`livermore watch`: the market in a live table, or a line per close where there is no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core.cli.output import config_option
from livermore_core.cli.start import Seconds
from livermore_core.errors import leaf, near
from livermore_core.loading import reader
from livermore_core.market.timeframe import WIDTHS, width
from livermore_core.masking import harmless

if TYPE_CHECKING:
    from livermore_core.cli.watching.controls import Controls
    from livermore_core.cli.watching.following import Follower
    from livermore_core.market.events import Event

EPILOG = """\b
Examples:
  livermore watch --symbol "*-USD" --timeframe 5m --timeframe 1h
  livermore watch --sort change
  livermore watch --indicator rsi --output rsi
  livermore watch --once
"""

Show = Callable[["Follower"], Any]


class Column(click.ParamType[str]):
    """A column of the table."""

    name = "column"

    def convert(self, value: Any, parameter: Any, context: Any) -> str:
        from livermore_core.cli.watching.columns import FIXED

        known = [*FIXED, *WIDTHS]
        if value not in known:
            self.fail(f"unknown column {value!r}{near(value, known)}; known: {', '.join(known)}")
        return str(value)


@click.command(epilog=EPILOG)
@click.option("--symbol", "symbols", multiple=True, metavar="GLOB", help='E.g. BTC-USD, "*-EUR" (repeatable).')
@click.option("--timeframe", "timeframes", multiple=True, metavar="T", help="Show this timeframe (repeatable).")
@click.option("--sort", type=Column(), default="symbol", show_default=True, help="By this column at first.")
@click.option("--indicator", default="macd-v", show_default=True, metavar="NAME", help="Show this one's values.")
@click.option("--output", metavar="OUTPUT", help="This output of it; its first if not given.")
@click.option("--interval", type=Seconds(), default=1.0, show_default=True, help="Seconds between two drawings.")
@click.option("--once", is_flag=True, help="Print the table once.")
@click.option("--store", metavar="URL", help="The store to read, e.g. sqlite:////var/lib/livermore.sqlite.")
@config_option
def watch(
    symbols: tuple[str, ...],
    timeframes: tuple[str, ...],
    sort: str,
    indicator: str,
    output: str | None,
    interval: float,
    once: bool,
    store: str | None,
    file: Path | None,
) -> None:
    """Show price, change, the MACD-V of every timeframe by stage, age of the last close and gaps, of every symbol.

    The change is against the price 24 hours before the last close. ? shows the keys. Without a terminal it prints a
    line per close.
    """
    from livermore_core.cli.watching.controls import Controls
    from livermore_core.cli.watching.following import Follower
    from livermore_core.cli.watching.table import Table
    from livermore_core.cli.watching.terminal import can_watch

    for timeframe in timeframes:
        width(timeframe)
    seen = Follower(lambda: reader(file, store), lambda: Table(indicator, symbols, timeframes), interval)
    controls = Controls(sort)
    if once:
        _run(_print_once(seen, controls, output))
    elif can_watch():
        _run(_draw(seen, controls, output, interval))
    else:
        _run(_print_lines(seen, output))


def _run(watching: Any) -> None:
    try:
        asyncio.run(watching)
    except BaseExceptionGroup as group:
        raise leaf(group) from None


async def _print_once(seen: Follower, controls: Controls, output: str | None) -> None:
    """The table as wide as the terminal; without one, as wide as it is."""
    from rich.console import Console

    from livermore_core.cli.watching.drawing import picture

    await seen.look()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1 << 12
    for line in picture(seen, controls, output, console.width, None):
        console.print(line, no_wrap=True, overflow="crop")


async def _draw(seen: Follower, controls: Controls, output: str | None, interval: float) -> None:
    """Follow the store beside a screen, until a key or a signal ends it."""
    read = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(seen.follow(lambda events: read.set()))
        await read.wait()
        await _screen(seen, controls, output, interval)
        following.cancel()


async def _screen(seen: Follower, controls: Controls, output: str | None, interval: float) -> None:
    from livermore_core import ending
    from livermore_core.cli.watching.columns import columns_of
    from livermore_core.cli.watching.drawing import picture
    from livermore_core.cli.watching.keys import INTERRUPT
    from livermore_core.cli.watching.terminal import Terminal

    touched = asyncio.Event()

    def press(key: str) -> None:
        controls.press(key, columns_of(seen.table.timeframes))
        touched.set()

    def leave(code: int) -> None:
        terminal.give_back()
        ending.leave(code)

    terminal = Terminal(press, touched.set)
    with ending.signals(lambda name: press(INTERRUPT), leave), terminal:
        while not controls.has_quit:
            touched.clear()
            terminal.show(picture(seen, controls, output, *terminal.size))
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await touched.wait()


async def _print_lines(seen: Follower, output: str | None) -> None:
    """A line per close on stdout; on stderr what is absent, when the store cannot be read, and when it can again."""
    from livermore_core.cli.watching.absent import absent
    from livermore_core.cli.watching.lines import Lines

    lines, now = Lines(seen, output), asyncio.get_running_loop().time
    trouble = ""

    def tell(events: Sequence[Event]) -> None:
        nonlocal trouble
        for line in lines.take(events, now()):
            click.echo(line)
        if bool(seen.trouble) != bool(trouble):
            click.echo(harmless(seen.complaint()) or "the store is read again", err=True)
        trouble = seen.trouble

    await seen.look()
    for line in absent(seen.table, output):
        click.echo(harmless(line), err=True)
    await seen.follow(tell)
