"""What a server refuses: full, read-only, failing disk, eviction, rights, keys of others. Whole, and said."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from livermore_redis.store import open_store
from redis_server import RedisServer, running
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import Batch, ConfigurationError, CredentialsError, IndicatorValue, SeriesChange, StoreError

HEAD, LOG, COVERAGE = "livermore:{0}:head:candles", "livermore:{0}:log:candles", "livermore:{0}:coverage"
CANDLES, VALUES = "livermore:{0}:candles:memory:BTC-USD:1m", "livermore:{0}:values:memory:BTC-USD:1m"
PASSWORD = "hunter2-hunter2"


def key(pattern: str) -> str:
    """The key in the shard of the series."""
    from livermore_redis.layout import Layout

    return pattern.replace("{0}", f"{{{Layout('livermore').shard(BITCOIN.symbol)}}}")


def everything(number: int) -> Batch:
    """A minute with its value: all that lies in a shard."""
    batch = minutes(number)
    value = IndicatorValue(indicator="ema", time=60 * number, outputs={"value": 1.5}, state="{}")
    rows = batch.changes[0]
    batch.changes[0] = SeriesChange(series=BITCOIN, rows=rows.rows, covered=rows.covered, values=[value])
    return batch


async def test_a_server_that_becomes_a_replica_is_asked_anew_until_there_is_a_master_D25(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        with server.client() as client:
            before = client.info("stats")["total_connections_received"]
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            commit = asyncio.create_task(store.transact(minutes(2)))
            await until(lambda: store.trouble._unsaid > 1)
            assert store.trouble.reason == "store.readonly"
            assert client.info("stats")["total_connections_received"] > before + 1
            client.execute_command("REPLICAOF", "NO", "ONE")
        await commit
        assert await stored(store) == await told(store) == [1, 2]


@pytest.mark.usefixtures("watchful")
async def test_a_full_server_refuses_whole_and_is_written_again_once_there_is_room_D28(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        with server.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreError, match=r"^store\.full: .*raise maxmemory") as caught:
                await store.transact(everything(2))
            assert caught.value.exit_code == 74
            await until(lambda: store.trouble.reason == "store.full")
            assert await stored(store) == await told(store) == [1]
            assert await store.values(BITCOIN) == []
            client.config_set("maxmemory", 0)
        await store.transact(everything(2))
        assert await stored(store) == await told(store) == [1, 2]


async def test_a_full_server_is_made_room_in_D28(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(*range(200)))
        with server.client() as client:
            client.config_set("maxmemory", 1)
            assert await store.trim({"1m": 3}) == 197
            client.config_set("maxmemory", 0)
        assert await stored(store) == [197, 198, 199]


async def test_a_server_that_would_drop_candles_is_refused_D29(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        async with writing(server.url) as (_, said):
            assert "set it to noeviction" in said[0][1]["cause"]
        client.config_set("maxmemory", "100mb")
    async with open_store(server.url) as store:
        with pytest.raises(ConfigurationError, match=r"store\.evicting: .*CONFIG SET maxmemory-policy noeviction"):
            await store.claim()
        assert "fail" in [level for level, _ in await store.advice()]


@pytest.mark.usefixtures("watchful")
async def test_a_server_that_begins_to_drop_candles_is_said_once_D29(server: RedisServer) -> None:
    async with writing(server.url) as (_, said):
        with server.client() as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-random")
        await until(lambda: said)
        looks = _looks(server)
        await until(lambda: _looks(server) > looks + 3)
        assert [event for event, _ in said] == ["store.warning"]
        assert said[0][1]["cause"].startswith("store.evicting: ")


def _looks(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.info("commandstats")["cmdstat_info"]["calls"])


async def test_a_server_that_keeps_nothing_on_disk_is_warned_of_D30() -> None:
    async with running() as forgetful, writing(forgetful.url) as (store, said):
        assert "appendonly yes" in said[0][1]["cause"]
        assert [level for level, _ in await store.advice()].count("warn") == 1


async def test_a_server_whose_snapshots_fail_refuses_with_its_own_text_D42(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        with server.client() as client:
            client.config_set("save", "3600 1")
            (server.folder / "dump.rdb" / "in-the-way").mkdir(parents=True)
            client.bgsave()
            await until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
            with pytest.raises(StoreError, match=r"^store\.refusing_writes: .*see its log"):
                await store.transact(everything(2))
            assert await stored(store) == await told(store) == [1]
            shutil.rmtree(server.folder / "dump.rdb")
            await until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
            client.bgsave()
            await until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")
        await store.transact(everything(2))
        assert await stored(store) == [1, 2]


@pytest.mark.parametrize("pattern", [LOG, COVERAGE, CANDLES, VALUES])
async def test_a_key_of_another_program_refuses_the_whole_commit_by_its_name_D36_D39(
    server: RedisServer, pattern: str
) -> None:
    async with writing(server.url) as (store, _):
        with server.client() as client:
            client.set(key(pattern), "another's")
            before = {each: client.dump(each) for each in client.keys("*") if b"head" not in each}
            with pytest.raises(StoreError, match="WRONGTYPE") as caught:
                await store.transact(everything(1))
            assert key(pattern) in str(caught.value)
            assert {each: client.dump(each) for each in client.keys("*") if b"head" not in each} == before
            client.delete(key(pattern))
        await store.transact(everything(1))
        assert await stored(store) == await told(store) == [1]
        assert [value.time for value in await store.values(BITCOIN)] == [60]


@pytest.mark.parametrize("pattern", [HEAD, LOG])
async def test_a_key_of_another_program_refuses_the_claim_by_its_name_D36(server: RedisServer, pattern: str) -> None:
    with server.client() as client:
        client.set(key(pattern), "another's")
        async with open_store(server.url) as store:
            with pytest.raises(StoreError, match="WRONGTYPE") as caught:
                await store.claim()
        assert key(pattern) in str(caught.value)
        assert client.get(key(pattern)) == b"another's"


async def test_a_store_of_another_schema_or_program_is_refused_and_left_D36(server: RedisServer) -> None:
    with server.client() as client:
        for make in (
            lambda: client.set("livermore:store", "x"),
            lambda: client.hset("livermore:store", "version", "2"),
        ):
            client.delete("livermore:store")
            make()
            before = client.dump("livermore:store")
            with pytest.raises(ConfigurationError, match="livermore:store is not of this livermore"):
                async with open_store(server.url):
                    pass
            assert client.dump("livermore:store") == before


async def test_an_entry_of_another_version_is_refused_not_guessed_SR04(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
    with server.client() as client:
        client.xadd(key(LOG), {"n": 1, "e": b"\x92\x63\x90"}, id="9999999999999-1")
        client.hset(key(HEAD), "last", "9999999999999-1")
    async with open_store(server.url, read_only=True) as reader:
        with pytest.raises(StoreError, match="version 99; upgrade livermore") as caught:
            await reader.events()
    assert caught.value.exit_code == 74


@pytest.mark.parametrize("user", ["", f"somebody:{PASSWORD}-wrong@", f"poor:{PASSWORD}@"])
async def test_a_server_that_does_not_let_us_in_ends_the_start_at_once_D37(server: RedisServer, user: str) -> None:
    with server.client() as client:
        client.acl_setuser("poor", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+ping", "+client"], keys=["*"])
        client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+other"])
    with pytest.raises(CredentialsError, match=r"^store\.credentials: ") as caught:
        async with open_store(server.url.replace("unix://", f"unix://{user}")):
            pass
    assert caught.value.exit_code == 77
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("harm", [["off"], ["resetpass"], ["-hset"], ["-evalsha", "-eval"], ["resetkeys"]])
async def test_rights_that_go_while_it_runs_are_waited_for_and_said_D37_SR03(
    server: RedisServer, harm: list[str]
) -> None:
    whole = ["reset", "on", f">{PASSWORD}", "+@all", "~*"]
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "writer", *whole)
        async with writing(server.url.replace("unix://", f"unix://writer:{PASSWORD}@")) as (store, said):
            await store.transact(minutes(1))
            client.execute_command("ACL", "SETUSER", "writer", *harm)
            client.client_kill_filter(_type="normal", skipme=True)
            commit = asyncio.create_task(store.transact(minutes(2)))
            await until(lambda: store.trouble.reason == "store.credentials")
            assert not commit.done()
            client.execute_command("ACL", "SETUSER", "writer", *whole)
            await commit
            assert await stored(store) == await told(store) == [1, 2]
            assert said[0][0] == "store.error"
            assert PASSWORD not in f"{said} {store.trouble.row()} {store!r} {store._server.address!r}"
