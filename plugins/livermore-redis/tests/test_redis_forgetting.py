"""A server that forgets: what is remembered is sent again, once; more of it ends the run; nothing is invented."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from livermore_redis import log, writer
from livermore_redis.store import RedisStore, open_store
from redis_proxy import proxied
from redis_server import RedisServer
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import CursorExpiredError, Intervals, Series, StoreError, StoreLostError

ETHER = Series("memory", "ETH-USD", "1m")


async def test_a_lost_tail_is_sent_again_before_what_is_new_D26_D31(server: RedisServer) -> None:
    async with writing(server.url) as (store, said):
        await store.transact(minutes(1))
        server.keep()
        for number in (2, 3):
            await store.transact(minutes(number))
        cursor = await store.head()
        await server.fall_back()
        await store.transact(minutes(4))
        assert await stored(store) == await told(store) == [1, 2, 3, 4]
        assert await told(store, cursor) == [4]
        assert store.trouble.reason == "store.reverified"
        assert "2 commits" in store.trouble.cause
        assert said[0][0] == "store.error"


@pytest.mark.usefixtures("watchful")
async def test_a_lost_tail_is_sent_again_although_nothing_new_is_written_D26_D31(server: RedisServer) -> None:
    async with writing(server.url) as (store, _), open_store(server.url, read_only=True) as reader:
        await store.transact(minutes(1))
        server.keep()
        await store.transact(minutes(2, 3))
        await store.transact(minutes(4, series=ETHER))
        await server.fall_back()
        async with asyncio.timeout(20):
            while sorted(await told(reader)) != [1, 2, 3, 4]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await stored(reader) == [1, 2, 3]
        assert await stored(reader, ETHER) == [4]


async def test_a_reader_that_is_ahead_of_a_lost_tail_waits_until_it_is_sent_again_D26_D31(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(server.url) as (store, _), open_store(server.url, read_only=True) as reader:
        await store.transact(minutes(1))
        server.keep()
        cursor = await store.transact(minutes(2))
        await server.fall_back()
        with monkeypatch.context() as patch:
            patch.setattr(log, "SENT_AGAIN_WITHIN", 0.0)
            with pytest.raises(CursorExpiredError):
                await reader.events(cursor)
        found, _ = await asyncio.gather(reader.events(cursor), store.transact(minutes(2)))
        assert found == []
        await store.transact(minutes(3))
        assert await told(reader, cursor) == [3]


@pytest.mark.usefixtures("watchful")
async def test_a_lost_tail_is_sent_again_although_others_are_written_all_the_time_D26_D31(server: RedisServer) -> None:
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        await store.transact(minutes(1, series=ETHER))
        server.keep()
        await store.transact(minutes(2, 3, series=ETHER))
        await server.fall_back()
        proxy.delay = 0.01
        commits = iter(range(40))
        await asyncio.gather(*(_write(store, commits, delay) for delay in (0.0, 0.005)))
        async with open_store(server.url, read_only=True) as reader:
            assert await stored(reader, ETHER) == [1, 2, 3]


async def _write(store: RedisStore, numbers: Iterator[int], delay: float) -> None:
    """While one commit is on its way the next one waits."""
    await asyncio.sleep(delay)
    for number in numbers:
        await store.transact(minutes(number))


async def test_more_than_is_remembered_ends_the_run_D26_D31(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "REMEMBERED", 0.0)
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        server.keep()
        for number in (2, 3):
            await store.transact(minutes(number))
        await server.fall_back()
        with pytest.raises(StoreLostError, match=r"^store\.lost: .*more than the last"):
            await store.transact(minutes(4))
        assert isinstance(store.broken.exception(), StoreLostError)
        with pytest.raises(StoreError, match="does not hold the store"):
            await store.transact(minutes(4))
    async with writing(server.url) as (store, _):
        assert await stored(store) == [1]


async def test_a_server_that_has_forgotten_our_claim_is_no_take_over_D26_P23(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
    server.keep()
    async with writing(server.url) as (store, _):
        await store.transact(minutes(2))
        await server.fall_back()
        with pytest.raises(StoreLostError):
            await store.transact(minutes(3))


async def test_a_tail_that_a_full_server_refuses_is_sent_once_there_is_room_D26_D28(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        server.keep()
        for number in (2, 3):
            await store.transact(minutes(number))
        await server.fall_back()
        with server.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreError, match=r"^store\.full: "):
                await store.transact(minutes(4))
            client.config_set("maxmemory", 0)
        await store.transact(minutes(5))
        assert await stored(store) == await told(store) == [1, 2, 3, 5]


async def test_deleting_waits_for_a_lost_tail_D26_D39(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1, 2, 3))
        server.keep()
        await store.transact(minutes(4, 5))
        await server.fall_back()
        assert await store.trim({"1m": 2}, events=1) == 3
        await store.transact(minutes(6))
        assert await stored(store) == [4, 5, 6]
        assert await told(store) == [5, 6]


@pytest.mark.usefixtures("watchful")
@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("flushed", [True, False])
async def test_an_empty_server_ends_the_run_and_the_next_knows_nothing_D30_D32(
    server: RedisServer, writes: bool, flushed: bool
) -> None:
    async with writing(server.url) as (store, _), open_store(server.url, read_only=True) as reader:
        await store.transact(minutes(1, 2))
        cursor = await reader.head()
        if flushed:
            with server.client() as client:
                client.flushall()
        else:
            await server.restart(empty=True)
        if writes:
            with pytest.raises(StoreLostError):
                await store.transact(minutes(3))
        await until(store.broken.done)
        assert isinstance(store.broken.exception(), StoreLostError)
        async with writing(server.url) as (anew, _):
            assert await stored(anew) == []
            await anew.transact(minutes(5))
            # A reader that was there all the while hears of it, and goes on.
            with pytest.raises(CursorExpiredError) as caught:
                await reader.events(cursor)
            assert await told(reader, caught.value.oldest) == await stored(reader) == [5]


async def test_a_standby_whose_store_was_made_anew_does_not_take_it_for_the_old_one_D32(server: RedisServer) -> None:
    async with open_store(server.url) as store:
        with server.client() as client:
            client.flushall()
        with pytest.raises(StoreLostError, match="made anew"):
            await store.claim()


async def test_candles_that_are_gone_are_unknown_never_empty_D29_D32(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1, 2))
        await store.transact(minutes(1, series=ETHER))
        with server.client() as client:
            client.delete(*client.keys("*candles:memory:BTC*"))
        with pytest.raises(StoreLostError, match="BTC-USD"):
            await store.check()
        async with open_store(server.url, read_only=True) as reader:
            assert await reader.coverage(BITCOIN) == Intervals()
            assert await stored(reader, ETHER) == [1]
    async with writing(server.url) as (store, said):
        assert await store.series() == [ETHER]
        assert await stored(store) == []
        assert ("store.lost", 1) in [(event, fields.get("series")) for event, fields in said]
        await store.check()


async def test_a_log_that_is_gone_is_said_to_whoever_had_not_read_it_D32(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        cursor = await store.head()
        await store.transact(minutes(2))
        with server.client() as client:
            client.delete(*client.keys("*log:candles"))
        with pytest.raises(CursorExpiredError) as caught:
            await store.events(cursor)
        assert await told(store, caught.value.oldest) == []
        with pytest.raises(StoreLostError):
            await store.transact(minutes(3))


async def test_a_log_that_has_lost_its_head_begins_anew_D32(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1, 2))
        cursor = await store.head()
    with server.client() as client:
        client.xadd(client.keys("*log:candles")[0], {"n": 1, "e": "x"}, id="99999999999999-1")
        client.delete(*client.keys("*head*"))
    async with writing(server.url) as (store, _):
        with pytest.raises(CursorExpiredError) as caught:
            await store.events(cursor)
        await store.transact(minutes(3))
        assert await stored(store) == [1, 2, 3]
        assert await told(store) == await told(store, caught.value.oldest) == [3]
