"""A server that is not there, is killed, stopped, slow or starting: asked again, each time within a time."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import pytest
from livermore_redis import connection, writer
from livermore_redis.scripts import ALL
from livermore_redis.store import RedisStore, open_store
from redis_proxy import proxied
from redis_server import RedisServer, running, short_folder
from redis_steps import BITCOIN, minutes, stored, told, until, writing

from livermore_core import Series, StoreBusyError, StoreError

COMMIT = ALL["COMMIT"][1].encode()


@pytest.mark.usefixtures("impatient")
async def test_no_server_at_the_start_is_waited_for_without_haste_then_said_D20(server: RedisServer) -> None:
    async with proxied(server) as (proxy, url):
        await server.kill()
        with pytest.raises(StoreBusyError, match=r"^store\.unavailable: unix://") as caught:
            async with open_store(url):
                pass
        assert 2 <= proxy.connections <= 6
    assert caught.value.exit_code == 69


async def test_a_server_that_comes_late_is_opened_D20() -> None:
    with short_folder() as folder:
        late = RedisServer(folder)
        opening = asyncio.create_task(_claimed(late.url))
        await asyncio.sleep(0)
        await late.start()
        try:
            async with asyncio.timeout(20):
                assert await opening
        finally:
            await late.kill()


async def _claimed(url: str) -> bool:
    async with writing(url):
        return True


async def test_a_commit_outlives_the_death_of_the_server_D21(server: RedisServer) -> None:
    async with writing(server.url) as (store, said):
        await store.transact(minutes(1))
        await server.kill()
        commit = asyncio.create_task(store.transact(minutes(2)))
        await until(lambda: said)
        assert said[0][0] == "store.error"
        assert said[0][1]["reason"] == "store.unavailable"
        assert not commit.done()
        await server.start()
        await commit
        assert await stored(store) == await told(store) == [1, 2]


@pytest.mark.usefixtures("watchful")
async def test_a_server_that_goes_and_returns_is_said_although_nothing_is_written_D21(server: RedisServer) -> None:
    async with writing(server.url) as (store, said):
        store.trouble._settles = 0.0
        await server.kill()
        await until(lambda: store.trouble.reason == "store.unavailable")
        await server.start()
        await until(lambda: store.trouble.since is None)
        assert [event for event, _ in said] == ["store.error", "store.well"]


@pytest.mark.usefixtures("impatient")
async def test_every_question_to_a_stopped_server_has_its_own_deadline_D22(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
    async with open_store(f"{server.url}?timeout=0.2", read_only=True) as store:
        server.freeze()
        questions = (store.candles(BITCOIN), store.count(BITCOIN, 0, 60), store.hidden(BITCOIN, 0, 60), store.series(),
                     store.coverage(BITCOIN), store.values(BITCOIN), store.events(), store.head())  # fmt: skip
        async with asyncio.timeout(5):
            found = await asyncio.gather(*questions, return_exceptions=True)
            with pytest.raises(StoreBusyError):
                await store.read_status()
            with pytest.raises(StoreBusyError):
                await store.write_status({})
        server.thaw()
        assert [type(error) for error in found] == [StoreBusyError] * len(questions)
        assert {str(error).partition(":")[0] for error in found} == {"store.timeout"}
        assert len(await store.candles(BITCOIN)) == 1


async def test_a_commit_to_a_stopped_server_is_neither_lost_nor_doubled_D22(server: RedisServer) -> None:
    async with writing(f"{server.url}?timeout=0.1") as (store, _):
        await store.transact(minutes(1))
        server.freeze()
        commit = asyncio.create_task(store.transact(minutes(2)))
        await until(lambda: store.trouble._unsaid > 1)
        assert store.trouble.reason == "store.timeout"
        server.thaw()
        await commit
        await store.transact(minutes(3))
        assert await stored(store) == await told(store) == [1, 2, 3]


async def test_waiting_for_a_stopped_server_ends_in_time_D22(server: RedisServer) -> None:
    async with writing(f"{server.url}?timeout=0.1") as (store, _):
        head = await store.head()
        server.freeze()
        async with asyncio.timeout(3):
            await store.wait(head, within=0.3)
        server.thaw()


async def test_closing_does_not_wait_for_a_stopped_server_nor_do_those_who_ask_D22(server: RedisServer) -> None:
    async with writing(f"{server.url}?timeout=60") as (store, _):
        server.freeze()
        pending = [asyncio.create_task(store.candles(BITCOIN)), asyncio.create_task(store.transact(minutes(1)))]
        await asyncio.sleep(0.05)
        leaving = asyncio.timeout(4)
        await leaving.__aenter__()
    found = await asyncio.gather(*pending, return_exceptions=True)
    await leaving.__aexit__(None, None, None)
    server.thaw()
    assert [isinstance(error, StoreError) for error in found] == [True, True]


async def test_what_comes_while_a_slow_server_is_busy_shares_the_next_commit_D23(server: RedisServer) -> None:
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        proxy.delay, before = 0.2, store.commits
        await asyncio.gather(*(store.transact(minutes(number)) for number in range(50)))
        assert store.commits - before <= 3
        proxy.delay = 0.0
        assert await stored(store) == list(range(50))


async def test_a_slow_server_is_taken_over_within_a_lease_D23(server: RedisServer) -> None:
    async with proxied(server) as (proxy, url):
        proxy.delay = 0.05
        async with writing(url) as (store, _):
            started = asyncio.get_running_loop().time()
            await store.transact(minutes(1))
            assert asyncio.get_running_loop().time() - started < 1.0
            assert not store.broken.done()


async def test_a_server_that_another_program_keeps_busy_is_waited_for_D23(server: RedisServer) -> None:
    async with writing(f"{server.url}?timeout=1") as (store, _):
        with server.client() as client:
            client.config_set("lua-time-limit", 10)
        endless = asyncio.create_task(asyncio.to_thread(_endless, server))
        with server.client() as client:
            await until(lambda: _is_busy(client))
            commit = asyncio.create_task(store.transact(minutes(1)))
            await until(lambda: store.trouble.since)
            assert store.trouble.reason == "store.busy"
            client.script_kill()
        await commit
        await endless
        assert await stored(store) == [1]


def _endless(server: RedisServer) -> None:
    with server.client() as client, suppress(Exception):
        client.eval("while true do end", 0)


def _is_busy(client: object) -> bool:
    try:
        client.ping()
    except Exception as error:
        return str(error).startswith("BUSY")
    return False


async def test_a_server_that_loads_is_waited_for_D24(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: set[str] = set()
    reason_of = writer.reason_of
    monkeypatch.setattr(writer, "reason_of", lambda error: reasons.add(reason_of(error)) or reason_of(error))
    async with running() as loading, writing(loading.url) as (store, _):
        await store.transact(minutes(1))
        with loading.client() as client:
            client.mset({f"other:{number}": os.urandom(50_000) for number in range(800)})
            client.save()
        await loading.kill()
        commit = asyncio.create_task(store.transact(minutes(2)))
        # It answers after every two megabytes that it has loaded.
        await loading.start("--key-load-delay", "2000")
        await commit
        assert "store.loading" in reasons
        assert await stored(store) == await told(store) == [1, 2]


async def test_a_reader_that_is_cut_off_again_and_again_misses_nothing_D33(server: RedisServer) -> None:
    seen: list[int] = []
    async with writing(server.url) as (store, _), open_store(server.url, read_only=True) as reader:
        reading = asyncio.create_task(_read_on(reader, seen))
        for number in range(1, 13):
            await store.transact(minutes(number))
            if number % 6 == 0:
                await server.restart()
            elif number % 2 == 0:
                with server.client() as client:
                    client.client_kill_filter(_type="normal")
            await until(lambda number=number: len(seen) >= number - 2)
        await until(lambda: len(seen) >= 12)
        reading.cancel()
        await asyncio.wait([reading])
    assert seen == list(range(1, 13))


async def _read_on(reader: RedisStore, seen: list[int]) -> None:
    cursor = ""
    while True:
        with suppress(StoreBusyError):
            page = await reader.events(cursor)
            seen += [event.time // 60 for _, event in page]
            cursor = page[-1][0] if page else cursor
            await reader.wait(cursor, within=5.0)


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_stops_reading_takes_up_where_it_was_D34(server: RedisServer) -> None:
    async with writing(server.url) as (store, _), open_store(server.url, read_only=True) as reader:
        await store.transact(minutes(1))
        cursor = await reader.head()
        with server.client() as client:
            client.config_set("client-output-buffer-limit", "normal 32768 0 0")
            await store.transact(minutes(*range(2, 500)))
            with pytest.raises(StoreBusyError):
                await reader.events(cursor)
            client.config_set("client-output-buffer-limit", "normal 0 0 0")
        assert [event.time // 60 for _, event in await reader.events(cursor)] == list(range(2, 500))


async def test_a_hundred_callers_share_two_connections_D40(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 2)
    async with writing(server.url) as (store, _):
        await store.transact(minutes(1))
        found = await asyncio.gather(*(store.candles(BITCOIN) for _ in range(100)))
        with server.client() as client:
            ours = [each for each in client.client_list() if each["name"].startswith("livermore")]
        assert len(ours) <= 2
    assert [len(rows) for rows in found] == [1] * 100


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_does_not_come_free_is_given_up_in_time_D40(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 1)
    async with writing(server.url), open_store(f"{server.url}?timeout=0.1", read_only=True) as store:
        pool = store._server.client.connection_pool
        taken = await pool.get_connection()
        with pytest.raises(StoreBusyError, match=r"^store\.busy: "):
            await store.candles(BITCOIN)
        await pool.release(taken)
        assert await store.candles(BITCOIN) == []


async def test_a_question_given_up_leaves_no_answer_for_the_next_D41(server: RedisServer) -> None:
    many = [Series("memory", f"S{number}-USD", "1m") for number in range(20)]
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        await asyncio.gather(*(store.transact(minutes(at, series=one)) for at, one in enumerate(many)))
        proxy.delay = 0.03
        for one in many[:10]:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await store.candles(one)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await store.transact(minutes(100, series=one))
        proxy.delay = 0.0
        for at, one in enumerate(many):
            assert (await store.candles(one))[0].time == 60 * at
        await until(lambda: not store._writer._pending)
        await store.transact(minutes(200))
        for at, one in enumerate(many[:10]):
            assert await stored(store, one) == [at, 100]


async def test_a_commit_whose_answer_is_lost_is_done_once_D22(server: RedisServer) -> None:
    async with proxied(server) as (proxy, url), writing(url) as (store, _):
        await store.transact(minutes(1))
        proxy.cut = COMMIT
        cursor = await store.transact(minutes(2, 3))
        assert proxy.cuts == 1
        assert cursor == await store.head()
        assert await stored(store) == await told(store) == [1, 2, 3]


async def test_a_server_that_has_forgotten_our_scripts_is_told_them_again_D21(server: RedisServer) -> None:
    many = [Series("memory", f"S{number}-USD", "1m") for number in range(20)]
    async with writing(server.url) as (store, _):
        for number in range(3):
            with server.client() as client:
                client.script_flush()
            # Of one commit of many shards, some may have run and some not.
            await asyncio.gather(*(store.transact(minutes(number, series=one)) for one in many))
        for one in many:
            assert await stored(store, one) == [0, 1, 2]
        assert len(await told(store)) == 60


async def test_a_connection_that_is_killed_costs_nothing_D21(server: RedisServer) -> None:
    async with writing(server.url) as (store, _):
        for number in range(10):
            with server.client() as client:
                client.client_kill_filter(_type="normal")
            await store.transact(minutes(number))
        assert await stored(store) == await told(store) == list(range(10))
