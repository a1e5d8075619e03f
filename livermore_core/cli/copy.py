"""`livermore copy`: one store into another, of whatever kind, so that a run goes on from there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core.cli.bars import bars
from livermore_core.cli.output import config_option
from livermore_core.errors import ConfigurationError, ExitCode, StoreHeldError
from livermore_core.loading import reader, settings_of
from livermore_core.status import NOT_RUNNING, STUCK, state_of

if TYPE_CHECKING:
    from livermore_core.store.copying import Copying
    from livermore_core.store.protocol import CandleStore

# In place of a URL: what the configuration names, which may hold a password.
CONFIGURED = "-"
EPILOG = """\b
Examples:
  livermore copy sqlite:///livermore.sqlite sqlite:////backup/livermore.sqlite
  livermore copy sqlite:///livermore.sqlite redis://localhost/0
  livermore copy sqlite:///livermore.sqlite - --cursor 1-37
"""


@click.command(epilog=EPILOG)
@click.argument("source")
@click.argument("target")
@click.option("--cursor", "cursors", multiple=True, metavar="CURSOR", help="Translate this one too (repeatable).")
@config_option
def copy(source: str, target: str, cursors: tuple[str, ...], file: Path | None) -> int:
    """Copy the store at the URL SOURCE into the one at TARGET: candles, coverage, event log and indicator values.

    A URL may be `-`: the store of the configuration. TARGET must be empty, or an earlier copy, even one that was cut
    short: the copy goes on. No process may be writing SOURCE.
    """
    copying, unlike = asyncio.run(_copied(file, source, target, cursors))
    done = copying.copied
    click.echo(
        f"copied {done.candles:,} candles, {done.hidden:,} hidden ones, {done.events:,} events, {done.values:,} values"
        f" of {copying.series:,} series"
    )
    for cursor in dict.fromkeys([*cursors, copying.head]):
        if translated := copying.cursors.get(cursor):
            click.echo(f"cursor {cursor} is now {translated}")
        else:
            click.echo(f"cursor {cursor} has no like in the copy: read a snapshot", err=True)
    for line in unlike:
        click.echo(f"unlike: {line}", err=True)
    is_well = not unlike and all(copying.cursors.get(cursor) for cursor in cursors)
    return ExitCode.OK if is_well else ExitCode.ANSWER_IS_NO


async def _copied(file: Path | None, source: str, target: str, cursors: Sequence[str]) -> tuple[Copying, list[str]]:
    from livermore_core.store.copying import Copying
    from livermore_core.store.protocol import END

    async with AsyncExitStack() as stack:
        urls = [settings_of(file, _named(url))[1].store for url in (source, target)]
        if _place(urls[0]) == _place(urls[1]):
            raise _same(source, target)
        opened = await stack.enter_async_context(reader(file, _named(source)))
        _refuse_running(source, await opened.read_status())
        written = await _target(stack, file, opened, source, target)
        total = sum([await opened.count(series, 0, END) for series in await opened.series()])
        with bars(candles=total, events=None) as advance:
            copying = Copying(opened, written, cursors, advance)
            return copying, await copying.run()


def _named(url: str) -> str | None:
    return None if url == CONFIGURED else url


def _place(url: str) -> tuple[str, str, str, list[str]]:
    """Where a URL leads, whoever asks, and however it is written."""
    scheme, _, rest = url.partition("://")
    where, _, query = rest.partition("?")
    host, _, path = where.rpartition("@")[2].partition("/")
    return scheme.lower(), host.lower(), path.rstrip("/"), sorted(query.split("&"))


def _same(source: str, target: str) -> ConfigurationError:
    return ConfigurationError(f"{source} and {target} are one store; name another one to copy it to")


def _refuse_running(url: str, status: dict[str, Any] | None) -> None:
    """What is being written is never whole. A store may be shared by several processes."""
    for row in [status, *status.get("processes", ())] if status is not None else ():
        if state_of(row) not in (NOT_RUNNING, STUCK):
            where = f"pid {row['pid']} on {row['host']}"
            raise StoreHeldError(f"{url}: {where} is running on it ({row['state']}); stop it first")


async def _target(stack: AsyncExitStack, file: Path | None, opened: CandleStore, source: str, url: str) -> CandleStore:
    """The target, opened as its writer. Raises ConfigurationError where it is the source."""
    from livermore_core.opening import open_writer

    plugins, settings = settings_of(file, _named(url))
    target: CandleStore = await open_writer(stack, plugins, settings, lambda event, fields: None)
    paths = [getattr(store, "path", None) for store in (opened, target)]
    if isinstance(paths[0], Path) and isinstance(paths[1], Path) and paths[0].samefile(paths[1]):
        raise _same(source, url)
    if rebuilt := getattr(target, "rebuilt", None):
        click.echo(f"{url}: it was damaged, and is now {rebuilt}", err=True)
    return target
