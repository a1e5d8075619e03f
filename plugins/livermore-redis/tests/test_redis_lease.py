"""One writer: a race has one winner, a holder that comes back late changes nothing, and each comparison is needed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from hashlib import sha1

import pytest
from livermore_redis import connection
from livermore_redis.address import address_of
from livermore_redis.commit import Commit
from livermore_redis.connection import Server, connected
from livermore_redis.layout import Layout
from livermore_redis.lease import Lease
from livermore_redis.scripts import ALL
from livermore_redis.store import open_store
from redis_proxy import proxied
from redis_server import RedisServer
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import Batch, ConfigurationError, IndicatorValue, SeriesChange, StoreError, StoreHeldError, Trouble

LAYOUT = Layout("livermore")
STREAM = LAYOUT.stream(BITCOIN, "candles")
FAR = 9_000_000_000_000
VALUE = IndicatorValue(indicator="ema", time=60, outputs={"value": 1.5})


async def claimed(lease: Lease, wait: bool = False) -> bool:
    try:
        quiet = Trouble("store.error", lambda event, fields: None)
        await lease.claim(("candles", "values"), wait=wait, say=lambda event, fields: None, trouble=quiet)
    except StoreHeldError:
        return False
    return True


async def test_of_two_that_race_a_hundred_times_one_holds_every_time_P22(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("appendonly", "no")
    async with connected(address_of(server.url)) as one, connected(address_of(server.url)) as other:
        for _ in range(100):
            leases = Lease(one, LAYOUT), Lease(other, LAYOUT)
            won = await asyncio.gather(*(claimed(lease) for lease in leases))
            assert sorted(won) == [False, True]
            assert len(leases[won.index(True)].epochs) == len(LAYOUT.streams)
            for lease in leases:
                await lease.release()


async def test_who_comes_second_is_told_who_holds_it_P22(server: RedisServer) -> None:
    async with writing(server.url) as (store, _), open_store(server.url) as second:
        with pytest.raises(StoreHeldError, match=f"pid {os.getpid()} on {socket.gethostname()} since 20") as caught:
            await second.claim()
        assert caught.value.exit_code == 75
        with pytest.raises(StoreError, match="does not hold the store"):
            await second.transact(minutes(1))
        await store.write_status({"state": "LIVE"})
        assert len(((await second.read_status()) or {})["holders"]["candles"]) == 1
    async with open_store(server.url, read_only=True) as reader:
        assert ((await reader.read_status()) or {})["holders"] == {"candles": [], "values": []}


async def test_a_standby_is_let_in_as_soon_as_the_holder_leaves_P22(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        words: list[str] = []
        standby = asyncio.create_task(_next_minute(server, 2, words))
        await until(lambda: "store.standby" in words)
        assert len(_rows(server)) == 1
    async with asyncio.timeout(2.5):
        await standby
    assert [word for word in words if word != "store.warning"] == ["store.standby", "store.taken_over"]
    assert not _rows(server)


async def _next_minute(server: RedisServer, minute: int, words: list[str]) -> None:
    async with open_store(server.url) as store:
        store.say = lambda event, fields: words.append(event)
        await store.write_status({"state": "STANDBY"})
        await store.claim(wait=True)
        await store.transact(minutes(minute))
        assert await stored(store) == await told(store) == [1, 2]


def _rows(server: RedisServer) -> list[bytes]:
    with server.client() as client:
        return [row for row in client.hvals("livermore:processes") if not json.loads(row)["holds"]]


async def test_a_standby_outlives_a_server_that_goes_away_P22(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        words: list[str] = []
        standby = asyncio.create_task(_next_minute(server, 2, words))
        await until(lambda: "store.standby" in words)
        await server.restart()
        await store.transact(minutes(1))
        assert not standby.done()
    async with asyncio.timeout(10):
        await standby


async def test_a_holder_that_was_stopped_finds_that_it_was_taken_over_and_changes_nothing_P23(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("livermore_redis.lease.LEASE_MILLISECONDS", 400)
    monkeypatch.setattr("livermore_redis.store.RENEW_EVERY", 60.0)
    async with writing(server.url) as (stopped, _):
        await stopped.transact(minutes(1))
        started = loop.time()
        async with writing(server.url, wait=True) as (store, _):
            # Not before the lease is over, and soon after.
            assert 0.3 < loop.time() - started < 5.0
            await store.transact(minutes(2))
            with pytest.raises(StoreHeldError, match="took over while this process was away"):
                await stopped.transact(minutes(3))
            with pytest.raises(StoreHeldError):
                raise stopped.broken.exception() or AssertionError
            with pytest.raises(StoreError):
                await stopped.trim({"1m": 1})
            await store.transact(minutes(4))
            assert await stored(store) == await told(store) == [1, 2, 4]


@pytest.mark.usefixtures("watchful")
async def test_a_holder_that_was_stopped_hears_of_it_although_it_writes_nothing_P23(server: RedisServer) -> None:
    async with writing(server.url) as (stopped, _):
        with server.client() as client:
            client.hset(LAYOUT.head(STREAM), mapping={"owner": "other", "epoch": FAR})
        await until(stopped.broken.done)
        assert isinstance(stopped.broken.exception(), StoreHeldError)


async def test_epochs_grow_although_the_clock_of_the_server_goes_back_P23(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        cursor = await store.head()
    with server.client() as client:
        client.hset(LAYOUT.head(STREAM), "epoch", FAR)
    async with writing(server.url) as (store, _):
        assert store._lease.epochs[STREAM] == FAR + 1
        await store.transact(minutes(2))
        assert await told(store, cursor) == [2]


async def test_roles_are_held_apart_P22(server: RedisServer) -> None:
    async with (
        writing(server.url, roles=["candles"]) as (store, _),
        writing(server.url, roles=["values"]) as (other, _),
    ):
        await store.transact(minutes(1))
        with pytest.raises(StoreError, match="candles are not this process's to write"):
            await other.transact(minutes(2))
        no_more = SeriesChange(series=BITCOIN, uncovered=[(60, 120)], values=[VALUE])
        with pytest.raises(StoreError, match="candles are not this process's to write"):
            await other.transact(Batch(changes=[no_more]))
        assert await stored(other) == await told(other) == [1]


async def test_a_standby_has_all_of_its_roles_or_none_P22(server: RedisServer) -> None:
    words: list[str] = []
    async with open_store(server.url) as standby:
        standby.say = lambda event, fields: words.append(event)
        async with writing(server.url, roles=["values"]):
            waiting = asyncio.create_task(standby.claim(wait=True))
            await until(lambda: "store.standby" in words)
            async with writing(server.url, roles=["candles"]) as (store, _):
                await store.transact(minutes(1))
        async with asyncio.timeout(2.5):
            await waiting
        assert len(standby._lease.epochs) == len(LAYOUT.streams)


async def test_what_was_claimed_is_given_back_where_another_role_was_taken_meanwhile_P22(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_early(lease: Lease, streams: list[int]) -> None:
        return None

    monkeypatch.setattr(Lease, "_looked", too_early)
    async with writing(server.url, roles=["values"]), connected(address_of(server.url)) as asked:
        lease = Lease(asked, LAYOUT)
        assert not await claimed(lease)
        assert not lease.epochs
        async with writing(server.url, roles=["candles"]) as (store, _):
            await store.transact(minutes(1))


async def test_a_trouble_of_a_standby_ends_although_it_goes_on_waiting_P22(server: RedisServer) -> None:
    trouble = Trouble("store.error", lambda event, fields: None)
    trouble.bad("store.timeout")
    async with writing(server.url), connected(address_of(server.url)) as asked:
        claim = Lease(asked, LAYOUT).claim(("values",), wait=True, say=lambda event, fields: None, trouble=trouble)
        waiting = asyncio.create_task(claim)
        await until(lambda: trouble.since is None)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_claim_that_fails_leaves_nobody_who_renews_P22(server: RedisServer) -> None:
    before = asyncio.all_tasks()
    async with open_store(server.url) as store:
        with server.client() as client:
            client.hset(LAYOUT.store, "version", "2")
            with pytest.raises(ConfigurationError):
                await store.claim()
            client.hset(LAYOUT.store, "version", "1")
        await store.claim()
        await store.transact(minutes(1))
        assert len(asyncio.all_tasks() - before) == 2
    assert asyncio.all_tasks() == before


# ---- each comparison of a commit is needed ----


async def other_owner(server: RedisServer) -> None:
    """A clock that went back gave two owners the same epoch."""
    async with writing(server.url) as (store, _):
        with server.client() as client:
            client.hset(LAYOUT.head(STREAM), "owner", "other")
        with pytest.raises(StoreHeldError):
            await store.transact(minutes(1))


async def other_epoch(server: RedisServer) -> None:
    """A commit of our own that was on its way while we claimed anew."""
    async with connected(address_of(server.url)) as asked:
        lease = Lease(asked, LAYOUT)
        await claimed(lease)
        before = lease.epochs[STREAM]
        await asyncio.sleep(0.002)  # an epoch is a millisecond
        lease.epochs.clear()
        await claimed(lease)
        late = await _committed(asked, lease.owner, before)
        assert late[0] == b"fenced"


async def _committed(asked: Server, owner: str, epoch: int) -> list[bytes]:
    commit = Commit(LAYOUT, STREAM, {}, {})
    batch = minutes(1)
    for change in batch.changes:
        commit.change(change)
    for event in batch.events:
        commit.announce(event)
    keys, arguments = commit.script(0)
    answer: list[bytes] = await asked.script("COMMIT", keys, [owner, epoch, *arguments])
    return answer


async def forgotten_tail(server: RedisServer) -> None:
    """The server has forgotten a commit that it had acknowledged."""
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        server.keep()
        await store.transact(minutes(2))
        await server.fall_back()
        await store.transact(minutes(3))
        assert await told(store) == [1, 2, 3]


async def lost_answer(server: RedisServer) -> None:
    """The server has done a commit, and its answer was lost."""
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        await store.transact(minutes(1))
        proxy.cut = connection.ALL["COMMIT"][1].encode()
        await store.transact(minutes(2))
        assert proxy.cuts == 1
        assert await told(store) == [1, 2]


Scenario = Callable[[RedisServer], Awaitable[None]]
COMPARISONS: dict[str, tuple[str, Scenario]] = {
    "owner": ("head[1] ~= ARGV[1] or ", other_owner),
    "epoch": (" or head[2] ~= ARGV[2]", other_epoch),
    "sequence below": ("if tonumber(head[3]) < tonumber(ARGV[3]) then return {'lost', head[3]} end", forgotten_tail),
    "sequence above": ("if tonumber(head[3]) > tonumber(ARGV[3]) then return {'already', head[3]} end", lost_answer),
}


@pytest.mark.parametrize("comparison", COMPARISONS)
async def test_a_commit_holds_by_each_of_its_comparisons_P23(server: RedisServer, comparison: str) -> None:
    await COMPARISONS[comparison][1](server)


@pytest.mark.parametrize("comparison", COMPARISONS)
async def test_without_one_of_its_comparisons_a_commit_does_harm_P23(
    server: RedisServer, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, scenario = COMPARISONS[comparison]
    script = ALL["COMMIT"][0]
    assert script.count(text) == 1
    mutant = script.replace(text, "")
    monkeypatch.setitem(connection.ALL, "COMMIT", (mutant, sha1(mutant.encode()).hexdigest()))
    with pytest.raises((AssertionError, StoreError, pytest.fail.Exception)):
        await scenario(server)
