"""The real SQLite store for runs on virtual time: in the caller's turn, and without waits for the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livermore_core.store.sqlite import SqliteStore, open_store
from livermore_core.testing.inline_executor import InlineExecutor


@asynccontextmanager
async def inline_store(url: str) -> AsyncIterator[SqliteStore]:
    """The store at `url`. What dies in such a run is not the machine: whatever was written is there again."""
    async with open_store(url, executor=InlineExecutor()) as store:
        await store._rows("PRAGMA synchronous=OFF")
        yield store
