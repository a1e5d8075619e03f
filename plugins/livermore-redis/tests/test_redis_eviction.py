"""What a server evicts is found: at the next commit that would begin it anew, or at the next look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livermore_redis import store as storing
from livermore_redis.store import RedisStore, open_store
from redis_server import RedisServer

from livermore_core import Batch, Candle, CursorExpiredError, Event, Series, SeriesChange, StoreLostError

SERIES = Series("moon", "A-USD", "1m")


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with open_store(server.url) as opened:
        await opened.claim()
        await opened.transact(minute(0))
        yield opened


def minute(time: int) -> Batch:
    """A candle, its coverage and its announcement."""
    candle = Candle(time, 1.0, 1.0, 1.0, 1.0, 1.0)
    event = Event(kind="candle.closed", exchange="moon", symbol="A-USD", timeframe="1m", time=time, candle=candle)
    return Batch(changes=[SeriesChange(series=SERIES, rows=[candle], covered=[(time, time + 60)])], events=[event])


def key(server: RedisServer, part: str) -> str:
    """The one key that has `part` in its name."""
    with server.client() as client:
        (found,) = [each.decode() for each in client.keys(f"*:{part}*") if client.type(each) != b"none"]
    return str(found)


@pytest.mark.parametrize("part", ["candles:", "coverage", "log:candles"])
async def test_what_was_evicted_is_not_begun_anew_by_the_next_commit_D29_D32(
    store: RedisStore, server: RedisServer, part: str
) -> None:
    with server.client() as client:
        client.delete(key(server, part))
    with pytest.raises(StoreLostError):
        await store.transact(minute(60))


async def test_a_log_that_was_evicted_is_forgotten_and_its_readers_are_told_D29_D32(
    store: RedisStore, server: RedisServer
) -> None:
    before = await store.head()
    await store.transact(minute(60))
    with server.client() as client:
        client.delete(key(server, "log:candles"))
    with pytest.raises(StoreLostError):
        await store.transact(minute(120))
    await store.close()
    async with open_store(server.url) as again:
        await again.claim(wait=True)
        await again.transact(minute(120))
        with pytest.raises(CursorExpiredError) as caught:
            await again.events(after=before)
        assert [event.time for _, event in await again.events(after=caught.value.oldest)] == [120]


@pytest.mark.parametrize("part", ["candles:", "coverage", "log:candles", "store"])
async def test_a_look_at_the_store_names_what_is_gone_D29_D32(
    store: RedisStore, server: RedisServer, part: str
) -> None:
    await store.check()
    gone = key(server, part)
    with server.client() as client:
        client.delete(gone)
    with pytest.raises(StoreLostError, match="is gone, 1 keys in all") as caught:
        await store.check()
    assert gone in str(caught.value)


async def test_a_server_that_evicts_is_looked_at_within_seconds_D29_D32(
    store: RedisStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "LOOK_EVERY", 1)
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", 1)
        client.ping()
    async with asyncio.timeout(10):
        with pytest.raises(StoreLostError):
            await store.broken
