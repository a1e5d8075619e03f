"""A server for the tests of this package; without one they are skipped, saying so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis_server import WHERE, RedisServer, binary, running


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A server that keeps what it acknowledged when it is killed."""
    if binary() is None:
        pytest.skip(WHERE)
    async with running(persistent=True) as started:
        yield started
