"""The store on a cluster of three servers: the contract, a slot that moves, a node that dies and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from livermore_redis.address import address_of
from livermore_redis.connection import Call, Server
from livermore_redis.health import advice, evictions
from livermore_redis.layout import Layout
from livermore_redis.log import Log
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


class Three(Server):
    """A cluster of three, each of which says of itself what it is told to; every stream is said to have its number."""

    def __init__(self, said: list[dict[str, Any]]) -> None:
        client = SimpleNamespace(get_primaries=lambda: range(len(said)), info=self._info, hget=self._info)
        super().__init__(client, address_of("redis://127.0.0.1?cluster=true"))
        self._said, self.asked = said, 0

    async def _info(self, *sections: str, target_nodes: int = 0) -> Any:
        return self._said[target_nodes] if target_nodes in range(len(self._said)) else None

    async def scripts(self, name: str, calls: Sequence[Call]) -> list[Any]:
        self.asked += len(calls)
        return [b" ".join(f"1-{HEADS.index(key)},".encode() for key in keys) for keys, _ in calls]


HEADS = [LAYOUT.head(number).encode() for number in LAYOUT.streams]


@pytest.mark.parametrize("evicts", range(3))
async def test_of_each_node_is_asked_whether_it_evicts_D35(evicts: int) -> None:
    said: list[dict[str, Any]] = [{"redis_version": "7.2", "aof_enabled": 1, "evicted_keys": 1} for _ in range(3)]
    said[evicts] |= {"maxmemory_policy": "allkeys-lru", "maxmemory": 1000, "evicted_keys": 40}
    assert [level for level, _ in await advice(Three(said))] == ["ok", "ok", "fail", "ok"]
    assert await evictions(Three(said)) == 42


async def test_the_heads_of_a_shard_are_looked_at_together_D35() -> None:
    async def ask(question: Any) -> Any:
        return await question()

    server = Three([])
    ends = await Log(server, LAYOUT, "1", ask).ends()
    assert [end.last[1] for end in ends] == list(LAYOUT.streams)
    assert server.asked == LAYOUT.shards


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
        for each in cluster.nodes:
            with each.client() as client:
                client.config_set("maxmemory-policy", "allkeys-lru")
                client.config_set("maxmemory", "100mb")
                assert [level for level, _ in await store.advice()].count("fail") == 1
                client.config_set("maxmemory", 0)
