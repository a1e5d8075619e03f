"""Coinbase in the `ingest` stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Context


@hookimpl
async def ingest(context: Context) -> None:
    """Follow Coinbase live."""
    await context.ingest("coinbase")
