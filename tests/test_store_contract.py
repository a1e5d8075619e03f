"""Both stores of the core pass the one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livermore_core import CandleStore
from livermore_core.store.sqlite import open_store
from livermore_core.testing import MemoryStore, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> CandleStore:
        return MemoryStore()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[CandleStore]:
        async with open_store(f"sqlite:///{tmp_path}/store.sqlite") as opened:
            yield opened
