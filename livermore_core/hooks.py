"""The contract between livermore and its plugins, on one page: the stages, the markers, every hook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from livermore_core.context import Context
    from livermore_core.contributions import Command, Exchange, IndicatorType, Store

STAGES = ("backfill", "indicators", "ingest")

hookspec = pluggy.HookspecMarker("livermore")
hookimpl = pluggy.HookimplMarker("livermore")

# ---- contribution hooks: plain `def`, no I/O, yield frozen values ----


@hookspec
def register_exchanges() -> Iterable[Exchange]:  # type: ignore[empty-body]
    """Yield each exchange that this plugin offers, as an `Exchange`."""


@hookspec
def register_indicators() -> Iterable[IndicatorType]:  # type: ignore[empty-body]
    """Yield each indicator that this plugin offers, as an `IndicatorType`."""


@hookspec
def register_stores() -> Iterable[Store]:  # type: ignore[empty-body]
    """Yield each store that this plugin offers, as a `Store`."""


@hookspec
def register_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Yield each subcommand that this plugin adds to `livermore`, as a `Command`."""


# ---- stage hooks: `async def`, one optional argument, return nothing; run in the order of STAGES ----


@hookspec
async def backfill(context: Context) -> None:
    """Fetch the history that is missing.

    Promise to the next stage: for each series, the ledger covers the wanted depth up to a recorded moment, or says
    where and why not.
    """


@hookspec
async def indicators(context: Context) -> None:
    """Warm every indicator on the history. Promise: every indicator is warm at that moment and listening."""


@hookspec
async def ingest(context: Context) -> None:
    """Follow the exchange live. Promise: the feed is acknowledged and the seam since that moment is closed."""
