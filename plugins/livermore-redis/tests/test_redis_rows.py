"""Rows as they lie in blocks: any time, sparse, hidden, trimmed, by the thousand; the log over a take-over."""

from __future__ import annotations

import asyncio

import pytest
from livermore_redis.commit import key_of
from msgspec.structs import replace
from redis_server import RedisServer
from redis_steps import BITCOIN, candle, closed, minutes, stored, told, writing

from livermore_core import Batch, Candle, Series, SeriesChange, StoreError


def rows(*found: Candle) -> Batch:
    covered = [(row.time, row.time + 60) for row in found]
    return Batch(changes=[SeriesChange(series=BITCOIN, rows=list(found), covered=covered)])


@pytest.mark.parametrize("minute", [-1_000_000, -65, -1, 0, 63, 64, 1 << 40])
async def test_a_candle_of_any_time_comes_back(server: RedisServer, minute: int) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(minute, minute + 1))
        assert await stored(store) == [minute, minute + 1]
        assert await store.candles(BITCOIN, last=1) == [candle(minute + 1)]
        assert await store.candles(BITCOIN, since=60 * minute, until=60 * minute + 60) == [candle(minute)]
        assert await store.trim({"1m": 1}) == 1
        assert await stored(store) == [minute + 1]


@pytest.mark.parametrize(
    "harm",
    [{"revision": 1 << 32}, {"revision": -1}, {"time": 61}, {"time": 60 << 50}, {"source": "nobody"}],
)  # fmt: skip
async def test_what_has_no_place_is_refused_alone_and_the_rest_is_written(
    server: RedisServer, harm: dict[str, object]
) -> None:
    async with writing(server.url) as (store, _):
        broken = Candle(**({name: getattr(candle(1), name) for name in _NAMES} | harm))
        with pytest.raises(StoreError, match="cannot be stored"):
            await store.transact(Batch(changes=[SeriesChange(series=BITCOIN, rows=[candle(7), broken])]))
        await store.transact(minutes(2))
        assert await stored(store) == await told(store) == [2]
        assert not store.broken.done()


_NAMES = ("time", "open", "high", "low", "close", "volume", "revision", "source")


async def test_a_thousand_that_have_no_place_are_refused_beside_one_that_has(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        broken = [store.transact(Batch(events=[closed(BITCOIN, 1 << 70)])) for _ in range(1_200)]
        *refused, cursor = await asyncio.gather(*broken, store.transact(minutes(1)), return_exceptions=True)
        assert {type(error) for error in refused} == {StoreError}
        assert cursor == await store.head()
        assert await stored(store) == await told(store) == [1]


async def test_rows_in_any_order_come_back_in_order_and_of_one_time_the_last_one_counts(server: RedisServer) -> None:
    def changed(number: int, revision: int) -> Candle:
        return replace(candle(number), revision=revision)

    async with writing(server.url) as (store, _):
        first = [candle(70), candle(3), changed(3, 1), candle(1), changed(70, 1)]
        second = [changed(1, 2), candle(2)]
        hidden = [changed(70, 3)]
        await asyncio.gather(
            store.transact(Batch(changes=[SeriesChange(series=BITCOIN, rows=first)])),
            store.transact(Batch(changes=[SeriesChange(series=BITCOIN, rows=second, hidden=hidden)])),
        )
        assert store.commits == 1
        assert await store.candles(BITCOIN) == [changed(1, 2), candle(2), changed(3, 1)]
        assert await store.hidden(BITCOIN, 0, 1 << 40) == hidden


async def test_a_high_revision_comes_back(server: RedisServer) -> None:
    high = Candle(60, 10.0, 12.0, 9.0, 10.0, 1.5, 70_000, "rest")
    async with writing(server.url) as (store, _):
        await store.transact(rows(high))
        assert await store.candles(BITCOIN) == [high]


async def test_a_sparse_series_gives_the_newest_in_one_question(server: RedisServer) -> None:
    sparse = [1000 * number for number in range(40)]
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*sparse))
        with server.client() as client:
            before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            found = await store.candles(BITCOIN, last=7)
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before <= 2  # one, and perhaps a renewal
        assert [row.time // 60 for row in found] == sparse[-7:]
        assert await store.trim({"1m": 5}) == 35
        assert await stored(store) == sparse[-5:]


async def test_hidden_rows_are_no_candles_and_go_with_those_around_them_D17(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*range(1, 201)))
        hidden = [candle(number) for number in range(2, 201, 2)]
        gone = [(row.time, row.time + 60) for row in hidden]
        await store.transact(Batch(changes=[SeriesChange(series=BITCOIN, hidden=hidden, uncovered=gone)]))
        assert await stored(store) == list(range(1, 201, 2))
        assert [row.time // 60 for row in await store.candles(BITCOIN, last=50)] == list(range(101, 201, 2))
        await store.trim({"1m": 10})
        assert await stored(store) == list(range(181, 201, 2))
        assert [row.time // 60 for row in await store.hidden(BITCOIN, 0, 1 << 40)] == list(range(182, 201, 2))


async def test_twenty_thousand_candles_are_kept_by_count_and_none_by_time_D17(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        for start in range(0, 20_500, 4_100):
            await store.transact(rows(*(candle(minute) for minute in range(start, start + 4_100))))
        assert await store.trim({"1m": 20_000}) == 500
        assert await store.count(BITCOIN, 0, 1 << 40) == 20_000
        assert list(await store.coverage(BITCOIN)) == [(60 * 500, 60 * 20_500)]
        assert len(await store.candles(BITCOIN, last=300)) == 300
        with server.client() as client:
            assert {client.ttl(key) for key in client.keys("*")} == {-1}


async def test_what_was_told_is_not_told_again_by_who_takes_over_E3(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1, 2))
        cursor = await store.transact(minutes(3))
        await store.transact(minutes(4))
    async with writing(server.url) as (store, _):
        await store.transact(minutes(2, 3, 4, 5))
        assert await told(store) == [1, 2, 3, 4, 5]
        assert await told(store, cursor) == [4, 5]


async def test_a_pack_that_is_forgotten_in_part_is_known_in_part_E3_N05(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*range(1, 11)))
        await store.trim({}, events=4)
        await store.transact(minutes(6, 7))
        assert await told(store) == [7, 8, 9, 10, 6]
    async with writing(server.url) as (store, _):
        await store.transact(minutes(5, 6, 7))
        assert await told(store) == [7, 8, 9, 10, 6, 5]
        await store.trim({}, events=3)
        assert await told(store) == [10, 6, 5]


async def test_the_same_event_of_another_revision_is_another_event_E3(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        event = closed(BITCOIN, 1)
        await store.transact(Batch(events=[event, replace(event, revision=1), event]))
        assert await told(store) == [1, 1]


def test_the_key_of_an_event_is_small_however_long_its_names_are_E3() -> None:
    events = [
        closed(Series("memory", "BTC-USD" * repeated, "1m"), minute) for repeated in (1, 100) for minute in (1, 2)
    ]
    assert [len(key) for key in {key_of(event) for event in events}] == [16] * 4
    assert key_of(events[0]) == key_of(replace(events[0]))


async def test_waiting_at_the_beginning_of_an_empty_log_waits(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        loop = store.broken.get_loop()
        started = loop.time()
        await store.wait("", within=0.1)
        assert loop.time() - started > 0.09
