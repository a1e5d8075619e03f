"""Coinbase in the `backfill` stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Context


@hookimpl
async def backfill(context: Context) -> None:
    """Fetch the history that is missing."""
    await context.backfill("coinbase")
