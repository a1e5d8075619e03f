"""The core's own contribution, through the same door as anyone's: the embedded SQLite store."""

from __future__ import annotations

from collections.abc import Iterable

from livermore_core.contributions import Store
from livermore_core.hooks import hookimpl


@hookimpl
def register_stores() -> Iterable[Store]:
    """Yield the embedded store."""
    yield Store("sqlite", "one file on this machine (the default)", "livermore_core.store.sqlite:open_store")
