"""Faults of the file below the embedded store: locks, logs, copies, overwriting, slowness, a holder that is stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from livermore_core import CursorExpiredError, ExitCode, StoreBusyError, StoreCorruptError, StoreError, StoreHeldError
from livermore_core.bus import Bus
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.recorder import Recorder
from livermore_core.store.schema import create
from livermore_core.store.sqlite import SqliteStore, open_store
from livermore_core.testing import MemoryStore, Program
from livermore_core.testing.store_contract import SERIES, change

HOLD = """
import asyncio, sys
from livermore_core.store.sqlite import open_store

async def main():
    async with open_store(sys.argv[1]):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sqlite"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 20_000)


def overwrite_log(path: Path) -> None:
    """What is in the log need not be in the file."""
    log = path.with_name(f"{path.name}-wal")
    with log.open("r+b") as file:
        file.seek(32)
        file.write(b"not a log at all" * (log.stat().st_size // 16))


def contents(path: Path) -> tuple[bytes, bytes]:
    """The file and its log."""
    return path.read_bytes(), path.with_name(f"{path.name}-wal").read_bytes()


async def minutes(store: SqliteStore) -> list[int]:
    """The minutes that are stored; coverage and announcements must say the same."""
    found = [row.time // 60 for row in await store.candles(SERIES)]
    assert [event.time // 60 for _, event in await store.events(limit=100_000)] == found
    assert list(await store.coverage(SERIES)) == ([(60 * found[0], 60 * found[-1] + 60)] if found else [])
    return found


async def test_a_lock_of_another_program_is_waited_for_and_then_refuses_the_batch_whole_D03(path: Path) -> None:
    async with open_store(url(path)) as store:
        assert await store._rows("PRAGMA busy_timeout") == [(5000,)]
        await store._rows("PRAGMA busy_timeout=1")
        await store.transact(change(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="SQLITE_BUSY"):
            await store.transact(change(2))
        assert await minutes(store) == [1]
        other.execute("ROLLBACK")
        other.close()
        await store.transact(change(2))
        assert await minutes(store) == [1, 2]


async def test_a_start_waits_for_who_writes_the_file_at_this_moment_D03_D04(path: Path) -> None:
    async with open_store(url(path)) as store:
        await store.transact(change(1))
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.5, other.execute, "ROLLBACK")
    async with open_store(url(path)) as store:
        assert await minutes(store) == [1]
    other.close()


async def test_every_transaction_takes_the_lock_before_it_reads_D04(path: Path) -> None:
    said: list[str] = []
    async with open_store(url(path)) as store:
        store._file.connection.set_trace_callback(said.append)
        await store.transact(change(1, 2, 3))
        await store.trim({"1m": 2})
        store._file.connection.set_trace_callback(None)
    begins = [statement for statement in said if statement.startswith("BEGIN")]
    assert begins == ["BEGIN IMMEDIATE"] * 2
    assert said[0] == "BEGIN IMMEDIATE"
    for before, statement in pairwise(said):
        assert before != "COMMIT" or statement == "BEGIN IMMEDIATE"


async def test_what_was_trimmed_is_known_no_more_although_nobody_heard_how_much_it_was() -> None:
    class Deaf(MemoryStore):
        async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
            return 0 * await super().trim(keep, events)

    store = Deaf()
    await store.transact(change(1, 2, 3))
    recorder = Recorder(SERIES.exchange, (SERIES.timeframe,), store, Bus(), ExchangeClock())
    await recorder.load([SERIES.symbol])
    await recorder.trim({SERIES.timeframe: 1})
    assert recorder.ledger(SERIES.symbol, SERIES.timeframe).coverage == await store.coverage(SERIES)
    assert await store.count(SERIES, 0, 1 << 40) == 1


async def test_a_file_that_is_overwritten_answers_nothing_and_the_next_start_sets_it_aside_D06(path: Path) -> None:
    async with open_store(url(path)) as store:
        await store.transact(change(*range(1, 500)))
    async with open_store(url(path)) as store:
        overwrite(path)
        with pytest.raises(StoreCorruptError, match=r"SQLITE_(NOTADB|CORRUPT)"):
            await store.candles(SERIES)
        assert isinstance(store.broken.exception(), StoreCorruptError)
        with pytest.raises(StoreError, match=r"SQLITE_(NOTADB|CORRUPT)"):
            await store.transact(change(500))
    async with open_store(url(path)) as store:
        assert store.rebuilt is not None
        assert await minutes(store) == []


async def test_damage_of_a_file_is_found_by_a_look_although_what_is_in_memory_is_sound_D06(path: Path) -> None:
    async with open_store(url(path)) as store:
        await store.transact(change(*range(1, 500)))
    async with open_store(url(path)) as store:
        assert len(await minutes(store)) == 499
        await store.check()
        overwrite(path)
        assert len(await minutes(store)) == 499
        with pytest.raises(StoreCorruptError):
            await store.check()


# The same command, but it looks at its store each half second.
LOOKS_OFTEN = """
import sys
import livermore_core.soundness
livermore_core.soundness.LOOK_EVERY = 0.5
from livermore_core.cli import main
sys.exit(main())
"""


async def test_a_run_whose_file_is_overwritten_ends_with_74_and_the_next_start_mends_it_D06(path: Path) -> None:
    env = {"LIVERMORE_LOG_FORMAT": "json"}
    arguments = ("demo", "--products", "2", "--store", url(path))
    async with Program(*arguments, env=env, python=("-c", LOOKS_OFTEN)) as program:
        await program.event("ready")
        overwrite(path)
        overwrite_log(path)
        assert await program.ended() == ExitCode.STORE
        assert "; nothing more is written; the next start sets a damaged store aside" in program.lines[-1]
        assert not any("Traceback" in line for line in program.lines)
    async with Program(*arguments, "--for", "1", env=env) as program:
        aside = (await program.event("store.rebuilt"))["set_aside"]
        assert await program.stop() == ExitCode.OK
    assert ".corrupt-" in aside


# The same command, where no file may grow.
NO_ROOM = """
import resource
from livermore_core.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
main()
"""


async def test_a_start_on_a_disk_without_room_ends_with_74_and_what_to_do_D01(path: Path) -> None:
    async with Program("start", "--store", url(path), python=("-c", NO_ROOM)) as program:
        assert await program.ended() == ExitCode.STORE
        assert program.lines[-1].endswith("its lock cannot be written: File too large; make room on its disk")


async def test_a_corrupt_file_is_left_where_it_is_where_that_is_asked_for_D05(path: Path) -> None:
    overwrite(path)
    env = {"LIVERMORE_LOG_FORMAT": "json", "LIVERMORE_ON_CORRUPT": "stop"}
    async with Program("demo", "--products", "1", "--store", url(path), env=env) as program:
        assert await program.ended() == ExitCode.STORE
        assert "SQLITE_NOTADB: file is not a database; move it away, or let on_corrupt" in program.lines[-1]
    assert sorted(each.name for each in path.parent.glob("s.sqlite*")) == ["s.sqlite", "s.sqlite.lock"]


async def test_a_cursor_of_the_file_that_was_set_aside_is_refused_and_not_taken_for_one_of_the_new_D05_N05(
    path: Path,
) -> None:
    async with open_store(url(path)) as store:
        cursor = await store.transact(change(1, 2, 3))
    overwrite(path)
    async with open_store(url(path)) as store:
        await store.transact(change(4))
        with pytest.raises(CursorExpiredError) as caught:
            await store.events(cursor)
        assert [event.time // 60 for _, event in await store.events(caught.value.oldest)] == [4]


async def test_a_reader_holds_no_snapshot_between_two_looks_so_that_the_log_can_be_emptied_D07(path: Path) -> None:
    async with open_store(url(path)) as store, open_store(url(path), read_only=True) as reader:
        await store.transact(change(*range(1, 2000)))
        assert len(await minutes(reader)) == 1999
        ((busy, _, _),) = await store._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        assert busy == 0
        assert path.with_name("s.sqlite-wal").stat().st_size == 0


async def test_a_copy_without_its_log_is_an_older_store_that_knows_what_it_lacks_D08(path: Path) -> None:
    async with open_store(url(path)) as store:
        await store.transact(change(1))
    async with open_store(url(path)) as store:
        await store.transact(change(2))
        copy = path.with_name("copy.sqlite")
        shutil.copy(path, copy)
    async with open_store(url(copy)) as old:
        assert old.rebuilt is None
        assert await minutes(old) == [1]


async def test_a_log_that_ends_anywhere_leaves_whole_transactions_D12_S8(path: Path, tmp_path: Path) -> None:
    async with open_store(url(path)) as store:
        assert await store._rows("PRAGMA synchronous") == [(2,)]
        for minute in range(1, 4):
            await store.transact(change(minute))
        main, log = contents(path)
    lengths = set()
    frame = 24 + 4096
    for size in range(32 + frame // 2, len(log) + frame, frame):
        torn = tmp_path / f"torn-{size}.sqlite"
        torn.write_bytes(main)
        torn.with_name(f"{torn.name}-wal").write_bytes(log[:size])
        async with open_store(url(torn)) as store:
            lengths.add(len(await minutes(store)))
    assert lengths == set(range(4))


@pytest.mark.parametrize("statement", range(4))
def test_making_the_tables_breaks_off_as_a_whole_and_is_repeated_P07(path: Path, statement: int) -> None:
    made: list[object] = []

    def refuse(action: int, *about: object) -> int:
        if action == sqlite3.SQLITE_CREATE_TABLE:
            made.append(about)
        return sqlite3.SQLITE_DENY if len(made) > statement else sqlite3.SQLITE_OK

    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_authorizer(refuse)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        create(connection, epoch=7)
    connection.close()
    with sqlite3.connect(path) as left:
        assert left.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    left.close()

    async def again() -> list[int]:
        async with open_store(url(path)) as store:
            await store.transact(change(1))
            return await minutes(store)

    assert asyncio.run(again()) == [1]


async def test_a_disk_that_is_slow_holds_up_the_commit_and_neither_the_loop_nor_who_comes_later_D16(path: Path) -> None:
    disk = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        async with open_store(url(path), executor=executor) as store:
            executor.submit(disk.wait)
            writes = [asyncio.ensure_future(store.transact(change(minute))) for minute in range(1, 101)]
            for _ in range(100):
                await asyncio.sleep(0)
            assert not any(write.done() for write in writes)
            disk.set()
            await asyncio.gather(*writes)
            assert store.commits == 1
            assert len(await minutes(store)) == 100


async def test_a_pool_of_threads_that_is_full_holds_up_no_commit_P21(path: Path) -> None:
    release = threading.Event()
    loop = asyncio.get_running_loop()
    async with open_store(url(path)) as store:
        stuck = [loop.run_in_executor(None, release.wait) for _ in range(100)]
        await store.transact(change(1))
        assert await minutes(store) == [1]
        assert not any(each.done() for each in stuck)
        release.set()
        await asyncio.gather(*stuck)


def test_a_holder_that_is_stopped_still_holds_and_one_that_was_killed_does_not_P22_P23(path: Path) -> None:
    async def opened() -> None:
        async with open_store(url(path)):
            pass

    with subprocess.Popen([sys.executable, "-c", HOLD, url(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        with pytest.raises(StoreHeldError, match=f"store: pid {holder.pid} on .+ since .+; stop it first"):
            asyncio.run(opened())
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        asyncio.run(opened())


async def test_a_sound_file_that_is_locked_is_not_set_aside_as_corrupt_D05(path: Path) -> None:
    async with open_store(f"sqlite:///{path}") as store:
        await store.transact(change(1))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreBusyError, match="SQLITE_BUSY: database is locked") as caught:
            async with open_store(f"sqlite:///{path}"):
                pass
    finally:
        holder.close()
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert not list(path.parent.glob("*.corrupt-*"))  # a folder of this test alone
    async with open_store(f"sqlite:///{path}") as store:
        assert len(await store.candles(SERIES)) == 1
