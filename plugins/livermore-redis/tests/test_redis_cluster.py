"""The store on a cluster of three servers: the contract, a slot that moves, a node that dies and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livermore_redis.layout import Layout
from livermore_redis.store import open_store
from redis.crc import key_slot
from redis_cluster import Cluster, clustered
from redis_server import WHERE, binary
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import Series
from livermore_core.testing import StoreContract

LAYOUT = Layout("livermore")
MANY = [Series("memory", f"S{number}-USD", "1m") for number in range(20)]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    if binary() is None:
        pytest.skip(WHERE)
    async with clustered() as started:
        yield started


def slot_of(series: Series) -> int:
    return int(key_slot(LAYOUT.candles(series).encode()))


def test_all_keys_of_a_shard_lie_in_one_slot_D35() -> None:
    for series in MANY:
        number = LAYOUT.stream(series, "values")
        keys = [LAYOUT.candles(series), LAYOUT.values(series), LAYOUT.coverage(LAYOUT.shard(series.symbol))]
        keys += [LAYOUT.head(number), LAYOUT.log(number), LAYOUT.head(number - LAYOUT.shards)]
        assert len({key_slot(key.encode()) for key in keys}) == 1
    assert len({slot_of(series) for series in MANY}) > 2


async def test_the_contract_of_stores_holds_on_a_cluster_D35(cluster: Cluster) -> None:
    names = [name for name in dir(StoreContract) if name.startswith("test_")]
    assert len(names) > 10
    for number, name in enumerate(names):
        test = getattr(StoreContract(), name)
        cases = [mark.args[1][:1] for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        async with open_store(f"{cluster.url}&prefix=store{number}") as store:
            await store.claim()
            await test(store, *(case[0] for case in cases))


async def test_a_slot_that_moves_and_a_node_that_returns_lose_nothing_D35(cluster: Cluster) -> None:
    async with writing(cluster.url) as (store, _), open_store(cluster.url, read_only=True) as reader:
        await asyncio.gather(*(store.transact(minutes(1, series=series)) for series in MANY))
        for at, series in enumerate(MANY[:6]):
            here = cluster.owner(slot_of(series))
            if at == 0:
                cluster.move(slot_of(series), (here + 1) % 3)
            await store.transact(minutes(2, series=series))
            assert await stored(store, series) == await stored(reader, series) == [1, 2]
        assert sorted(await told(reader)) == [1] * 20 + [2] * 6


async def test_a_node_that_is_stopped_holds_up_its_own_shards_and_no_others_leave_D35(cluster: Cluster) -> None:
    async with writing(f"{cluster.url}&timeout=0.3") as (store, _):
        node = cluster.nodes[cluster.owner(slot_of(BITCOIN))]
        node.freeze()
        commit = asyncio.create_task(store.transact(minutes(1)))
        await until(lambda: store.trouble.since)
        node.thaw()
        await commit
        await store.transact(minutes(2))
        assert await stored(store) == await told(store) == [1, 2]
        assert [level for level, _ in await store.advice()].count("fail") == 0
