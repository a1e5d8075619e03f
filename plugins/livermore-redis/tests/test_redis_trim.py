"""Deleting: what is known follows what is gone, whoever is cancelled, whose answer is lost, what comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from livermore_redis.connection import Call, Server
from livermore_redis.layout import Layout
from livermore_redis.scripts import ALL
from livermore_redis.store import RedisStore, open_store
from redis_proxy import Proxy, proxied
from redis_server import RedisServer
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import Batch, Event, IndicatorValue

TRIM = ALL["TRIM"][1].encode()
DELETING = ["DROP", "TRIM", "FORGET"]
LAYOUT = Layout("livermore")
HEAD = LAYOUT.head(LAYOUT.stream(BITCOIN, "candles"))


async def answer_is_lost(store: RedisStore, proxy: Proxy) -> None:
    proxy.cut = TRIM
    await store.trim({"1m": 5})
    assert proxy.cuts == 1


async def caller_is_cancelled(store: RedisStore, proxy: Proxy) -> None:
    proxy.delay = 0.1
    trimming = asyncio.create_task(store.trim({"1m": 5}))
    await until(lambda: store._writer.alone.locked())
    trimming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trimming
    proxy.delay = 0.0


@pytest.mark.parametrize("harm", [answer_is_lost, caller_is_cancelled])
async def test_what_was_trimmed_is_never_written_back_as_known_to_be_empty_D17_D22(
    server: RedisServer, harm: Callable[[RedisStore, Proxy], Any]
) -> None:
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        await store.transact(minutes(*range(10)))
        await store.trim({"1m": 100})  # the server knows the script
        await harm(store, proxy)
        await store.transact(minutes(10))
        async with open_store(server.url, read_only=True) as reader:
            assert await stored(reader) == await stored(store) == [5, 6, 7, 8, 9, 10]


async def test_a_deletion_that_comes_after_later_commits_changes_nothing_D17_D22(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[tuple[str, Call]] = []
    scripts = Server.scripts

    async def noted(self: Server, name: str, calls: Sequence[Call]) -> list[Any]:
        late.extend((name, call) for call in calls if name in DELETING and call[0][0] == HEAD)
        return await scripts(self, name, calls)

    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
    with server.client() as client:
        client.delete(*client.keys("*candles:memory:*"))
    monkeypatch.setattr(Server, "scripts", noted)
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*range(10)))
        await store.trim({"1m": 5}, events=5)
        await store.transact(minutes(10, 11))
        assert [name for name, _ in late] == DELETING
        for name, call in list(late):
            await scripts(store._server, name, [call])
        async with open_store(server.url, read_only=True) as reader:
            assert await stored(reader) == await stored(store) == [5, 6, 7, 8, 9, 10, 11]
            assert await told(reader) == [5, 6, 7, 8, 9, 10, 11]


async def test_a_server_that_is_ahead_is_trimmed_as_it_is_D22(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*range(10)))
        with server.client() as client:
            client.hincrby(HEAD, "seq", 1)
        assert await store.trim({"1m": 5}) == 5
        assert await stored(store) == [5, 6, 7, 8, 9]


async def test_a_cursor_of_one_role_outlives_what_the_other_forgets(server: RedisServer) -> None:
    async with (
        writing(server.url, roles=["candles"]) as (store, _),
        writing(server.url, roles=["values"]) as (other, _),
    ):
        for minute in range(5):
            await other.transact(Batch(events=[value(minute)]))
        await other.trim({}, events=1)
        await store.trim({})
        cursor = await store.transact(minutes(1))
        assert await told(store, cursor) == []
        await other.transact(Batch(events=[value(5)]))
        assert await told(store, cursor) == [5]


def value(minute: int) -> Event:
    said = IndicatorValue(indicator="ema", time=60 * minute, outputs={"value": 1.5})
    return Event(
        kind="indicator.value", exchange=BITCOIN.exchange, symbol=BITCOIN.symbol, timeframe=BITCOIN.timeframe,
        time=60 * minute, value=said,
    )  # fmt: skip
