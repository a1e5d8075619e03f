"""The store on Redis passes the contract of stores, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livermore_redis.store import open_store
from redis_server import RedisServer

from livermore_core import CandleStore
from livermore_core.testing import StoreContract


class TestRedisStore(StoreContract):
    @pytest.fixture
    async def store(self, server: RedisServer) -> AsyncIterator[CandleStore]:
        async with open_store(server.url) as opened:
            await opened.claim()
            yield opened
