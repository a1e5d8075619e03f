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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a server."""
    monkeypatch.setattr("livermore_redis.store.PATIENCE", 0.3)
    monkeypatch.setattr("livermore_redis.store.READER_PATIENCE", 0.3)


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed, and the server looked at, all the time."""
    monkeypatch.setattr("livermore_redis.store.RENEW_EVERY", 0.02)
    monkeypatch.setattr("livermore_redis.store.LOOK_EVERY", 1)
