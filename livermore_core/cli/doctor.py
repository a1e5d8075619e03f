"""`livermore doctor`: whether everything that a run needs is well here, and what to do where it is not."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core import ending, log
from livermore_core.cli.diagnosis import COLUMNS, Row, failing, row
from livermore_core.cli.output import reading_options, show
from livermore_core.cli.store_health import store_health
from livermore_core.errors import ExitCode, PermanentError, UnavailableError
from livermore_core.loading import settings_of, tolerant_plugins
from livermore_core.masking import everywhere, harmless
from livermore_core.opening import open_exchange
from livermore_core.plugins import Plugins

if TYPE_CHECKING:
    from livermore_core.config import Settings

CHECKS = ("network", "clock", "credentials", "products")
WITHIN = 10.0
WORST_SKEW = 1.0


@click.command(epilog="Example: livermore doctor --exchange coinbase")
@click.option("--exchange", "exchanges", multiple=True, metavar="NAME", help="Ask this exchange (repeatable).")
@reading_options
def doctor(exchanges: tuple[str, ...], as_json: bool, store: str | None, file: Path | None) -> int:
    """Examine plugins, configuration, store and exchanges, and change nothing. Exit 1 where something fails."""
    plugins, settings, problems = tolerant_plugins(file), None, list[str]()
    rows = _plugins(plugins)
    with failing(rows, "configuration", "settings"):
        _, settings = settings_of(file, store, exchanges=exchanges, problems=problems)
        rows += _configuration(settings, problems)
    log.configure(settings.log_format if settings else None, "warning")
    # It prints before its loop ends: a look-up of a name that hangs must not hold back what was found.
    return int(ending.run_to_end(_examine(rows, plugins, settings, as_json)))


async def _examine(rows: list[Row], plugins: Plugins, settings: Settings | None, as_json: bool) -> ExitCode:
    if settings is not None:
        rows += await store_health(plugins, settings.store)
        rows += await _exchanges(plugins, settings)
    clean = everywhere(harmless, rows)
    show(clean, COLUMNS, "json" if as_json else "table")
    return ExitCode.ANSWER_IS_NO if any(each["state"] == "fail" for each in rows) else ExitCode.OK


def _plugins(plugins: Plugins) -> list[Row]:
    """The broken ones, and so those that offer what another offers; where there are none, how many are well."""
    broken = [plugin for plugin in plugins.found if plugin.state == "broken"]
    if broken:
        mend = "mend, update or uninstall it, or disable it: [plugins] disable = [{!r}]"
        return [
            row("plugins", each.name, "fail", f"{each.source}: {each.cause}", mend.format(each.name)) for each in broken
        ]
    kinds = ("exchanges", "indicators", "stores", "commands")
    offered = ", ".join(f"{kind} {len(getattr(plugins, kind))}" for kind in kinds)
    loaded = sum(plugin.state == "ok" for plugin in plugins.found)
    return [row("plugins", "loaded", "ok", f"{loaded} of {len(plugins.found)}; {offered}")]


def _configuration(settings: Settings, problems: list[str]) -> list[Row]:
    mend = "mend it (`livermore config describe` explains the keys); below, defaults stand for what is wrong"
    rows = [row("configuration", "settings", "fail", problem, mend) for problem in dict.fromkeys(problems)]
    rows += [row("configuration", "settings", "warn", note, "mend it or take it out") for note in settings.notes]
    read = str(settings.file) if settings.file else "no file; defaults, environment and flags"
    return rows or [row("configuration", "settings", "ok", read)]


async def _exchanges(plugins: Plugins, settings: Settings) -> list[Row]:
    """All that are followed at once, for at most WITHIN."""
    if not settings.followed:
        mend = "name one with --exchange, or install one: pip install 'livermore[coinbase]'"
        found = f"none is followed; installed: {', '.join(plugins.exchanges) or 'none'}"
        return [row("exchanges", "followed", "fail", found, mend)]
    told: dict[str, list[Row]] = {name: [] for name in settings.followed}
    tasks = {name: asyncio.create_task(_exchange(plugins, settings, name, rows)) for name, rows in told.items()}
    await asyncio.wait(tasks.values(), timeout=WITHIN)
    for name, task in tasks.items():
        if not task.done():
            task.cancel()  # and not waited for: it may not let go
            passed = {each["check"] for each in told[name]}
            with failing(told[name], name, next((check for check in CHECKS if check not in passed), "closing")):
                raise UnavailableError(f"no answer within {WITHIN:g} s")
    return [each for rows in told.values() for each in rows]


async def _exchange(plugins: Plugins, settings: Settings, name: str, rows: list[Row]) -> None:
    """Adds a row for each check as it is done; what comes after one that cannot be reached is not asked."""
    with failing(rows, name, "client"):
        async with AsyncExitStack() as stack:
            client = await open_exchange(stack, plugins, settings, name, lambda event, fields: None)
            with failing(rows, name, "network"):
                rows += await _reach(client, name)
                with failing(rows, name, "credentials"):
                    rows.append(await _credentials(client, name))
                with failing(rows, name, "products"):
                    rows.append(await _products(client, name))


async def _reach(client: Any, name: str) -> list[Row]:
    await client.time()  # opens the connection, so that the next one measures the way alone
    sent, began = time.time(), time.perf_counter()
    stamp = await client.time()
    way = time.perf_counter() - began
    ahead = sent + way / 2 - stamp
    found = f"this machine is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    mend = "synchronise this machine's clock (NTP): signed requests need it"
    is_close = abs(ahead) <= WORST_SKEW
    return [
        row(name, "network", "ok", f"{1000 * way:.0f} ms there and back"),
        row(name, "clock", "ok", found) if is_close else row(name, "clock", "warn", found, mend),
    ]


async def _credentials(client: Any, name: str) -> Row:
    ask = getattr(client, "credentials", None)
    rights = await ask() if ask is not None else ""
    if not rights:
        return row(name, "credentials", "ok", "no key; public data only")
    if {"trade", "transfer"} & set(rights.split(", ")):
        mend = "livermore only looks: create a key with the right `view` alone"
        return row(name, "credentials", "warn", f"the key is accepted and may {rights}", mend)
    return row(name, "credentials", "ok", f"the key is accepted and may {rights}")


async def _products(client: Any, name: str) -> Row:
    count = len(await client.products())
    if not count:
        raise PermanentError("it offers no product")
    return row(name, "products", "ok", f"{count} products")
