"""The embedded store on a real file: group commit, one writer, kill -9, corruption, refusals."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from livermore_core import (
    Batch,
    ConfigurationError,
    CursorExpiredError,
    IndicatorValue,
    Series,
    SeriesChange,
    StoreAbsentError,
    StoreError,
    StoreHeldError,
)
from livermore_core.exchange.trouble import reason_of
from livermore_core.store.sqlite import open_store
from livermore_core.store.sqlite_file import failure, path_of
from livermore_core.testing.store_contract import SERIES, change

WRITE_FOR_EVER = """
import asyncio, sys
from livermore_core.store.sqlite import open_store
from livermore_core.testing.store_contract import change

async def main():
    async with open_store(sys.argv[1]) as store:
        minute = 1
        while True:
            await asyncio.gather(*(store.transact(change(minute + more)) for more in range(5)))
            minute += 5
            print(minute - 1, flush=True)

asyncio.run(main())
"""


async def test_batches_that_come_together_share_a_commit(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        await asyncio.gather(*(store.transact(change(minute)) for minute in range(1, 101)))
        assert len(await store.candles(SERIES)) == 100
        assert store.commits == 1


async def test_a_batch_that_fails_poisons_nobody_else(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        nameless = IndicatorValue(indicator=None, time=60, outputs={})  # type: ignore[arg-type]
        poison = Batch(changes=[SeriesChange(series=SERIES, values=[nameless])])
        results = await asyncio.gather(
            store.transact(change(1)), store.transact(poison), store.transact(change(2)), return_exceptions=True
        )
        assert isinstance(results[1], StoreError)
        assert [row.time for row in await store.candles(SERIES)] == [60, 120]


async def test_cancelling_a_caller_leaves_the_commit_whole_D14(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        task = asyncio.ensure_future(store.transact(change(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.transact(change(2))
        assert [row.time for row in await store.candles(SERIES)] == [60, 120]


async def test_what_came_before_the_store_is_closed_is_committed_and_what_comes_after_is_refused(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/s.sqlite"
    async with open_store(url) as store:
        origin = await store.head()
        tasks = [asyncio.ensure_future(store.transact(change(minute))) for minute in (1, 2)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [origin[:-1] + "1", origin[:-1] + "2"]
    with pytest.raises(StoreError, match="closed"):
        await store.transact(change(3))
    async with open_store(url, read_only=True) as reader:
        assert [row.time for row in await reader.candles(SERIES)] == [60, 120]


def test_kill_9_loses_nothing_acknowledged_S3_S8_D13(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.sqlite"
    for lines in (3, 7, 20):
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, url], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(lines)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()

        async def check(known: int) -> None:
            async with open_store(url) as store:
                rows = {row.time for row in await store.candles(SERIES)}
                events = {event.time for _, event in await store.events(limit=1_000_000)}
                assert {60 * minute for minute in range(1, known + 1)} <= rows
                assert rows == events
                assert list(await store.coverage(SERIES)) == [(60, max(rows) + 60)]

        asyncio.run(check(acknowledged))


async def test_a_second_writer_is_refused_and_told_who_holds_it_P22(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.sqlite"
    async with open_store(url):
        with pytest.raises(StoreHeldError, match=f"store: pid {os.getpid()} on .+ since .+; stop it first"):
            async with open_store(url):
                pass


async def test_a_reader_sees_what_is_committed_while_the_writer_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.sqlite"
    async with open_store(url) as writer, open_store(url, read_only=True) as reader:
        await writer.transact(change(1))
        assert [row.time for row in await reader.candles(SERIES)] == [60]
        with pytest.raises(StoreError, match="readonly"):
            await reader.transact(change(2))


async def test_a_cursor_of_another_file_is_refused_and_one_of_a_file_that_notes_no_epoch_holds_N05(
    tmp_path: Path,
) -> None:
    async with open_store(f"sqlite:///{tmp_path}/old.sqlite") as store:
        await store.transact(change(1))
        await store._rows("DELETE FROM meta WHERE key = 'epoch'")
    async with open_store(f"sqlite:///{tmp_path}/old.sqlite") as store:
        assert await store.transact(change(2)) == await store.head() == "1-2"
        assert [event.time for _, event in await store.events("1-1")] == [120]
        assert store.order("1-1") == (1,)
    async with open_store(f"sqlite:///{tmp_path}/new.sqlite") as store:
        await store.transact(change(1, 2))
        assert store.order("1-1") == ()
        for asked in ({"after": "1-1"}, {"until": "1-1"}):
            with pytest.raises(CursorExpiredError, match="is not the one that gave it"):
                await store.events(**asked)


async def test_a_corrupt_file_is_moved_aside_and_kept_D05(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database at all" * 1000)
    async with open_store(f"sqlite:///{path}") as store:
        await store.transact(change(1))
        assert store.rebuilt is not None
        assert store.rebuilt.read_bytes().startswith(b"not a database")


async def test_a_full_disk_refuses_the_batch_and_reads_go_on_D01(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        await store.transact(change(1))
        await store._rows("PRAGMA max_page_count=1")
        with pytest.raises(StoreError, match="SQLITE_FULL"):
            await store.transact(change(*range(2, 5000)))
        assert [row.time for row in await store.candles(SERIES)] == [60]
        await store._rows("PRAGMA max_page_count=1073741823")
        await store.transact(change(2))
        assert [row.time for row in await store.candles(SERIES)] == [60, 120]


async def test_a_newer_schema_is_refused_and_untouched_D11(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="newer livermore"):
        async with open_store(f"sqlite:///{path}"):
            pass
    assert path.read_bytes() == before


async def test_paths_that_cannot_be_written_are_refused_D09(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="choose another place"):
        async with open_store(f"sqlite:///{tmp_path}/file/below/s.sqlite"):
            pass
    with pytest.raises(ConfigurationError, match="is a directory"):
        async with open_store(f"sqlite:///{tmp_path}"):
            pass
    with pytest.raises(StoreError, match="no store here yet"):
        async with open_store(f"sqlite:///{tmp_path}/none.sqlite", read_only=True):
            pass


async def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").touch()
    with pytest.raises(StoreAbsentError, match=r"s\.sqlite: there is no store here yet"):
        async with open_store(f"sqlite:///{tmp_path}/s.sqlite", read_only=True):
            pass
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        assert await store.series() == []


@pytest.mark.parametrize("read_only", [True, False])
async def test_the_database_of_another_program_is_refused_and_untouched(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE moz_places (id INTEGER)")
        connection.execute("PRAGMA user_version=75")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"s\.sqlite is the database of another program; .* --store"):
        async with open_store(f"sqlite:///{path}", read_only=read_only):
            pass
    assert path.read_bytes() == before


async def test_what_is_no_database_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreError, match=r"s\.sqlite: SQLITE_NOTADB: file is not a database"):
        async with open_store(f"sqlite:///{tmp_path}/s.sqlite", read_only=True):
            pass


@pytest.fixture
def careless() -> Iterator[None]:
    """A user whose new files are open to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


async def test_files_and_folders_are_for_their_owner_only_SF03(tmp_path: Path, careless: None) -> None:
    path = tmp_path / "new" / "newer" / "s.sqlite"
    path.parent.parent.mkdir(mode=0o755)
    (tmp_path / "new" / "newer").mkdir(mode=0o700)
    path.write_bytes(b"not a database at all" * 1000)
    path.chmod(0o600)
    for place in (path, tmp_path / "a" / "b" / "c" / "s.sqlite"):
        async with open_store(f"sqlite:///{place}") as store:
            await store.transact(change(1))
            found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in place.parent.iterdir()}
            assert set(found.values()) == {0o600}, found
            assert found.keys() >= {"s.sqlite", "s.sqlite-wal", "s.sqlite-shm", "s.sqlite.lock"}
            assert (place is path) is any(".corrupt-" in name for name in found)
    for folder in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder


HOSTILE = [
    "'; DROP TABLE candles; --",
    "../../x",
    "/etc/passwd",
    "a\r\nb",
    "{0.__class__}",
    "x\0y",
    "X" * 10_000,
    "\u202e",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
async def test_names_are_kept_as_they_are_and_lead_nowhere_SI05_SF02(tmp_path: Path, text: str) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.sqlite") as store:
        await store.transact(change(1))
        series = Series(text, text, text)
        value = IndicatorValue(indicator=text, time=60, outputs={})
        await store.transact(
            Batch(changes=[SeriesChange(series=series, rows=change(2).changes[0].rows, values=[value])])
        )
        assert set(await store.series()) == {SERIES, series}
        assert [len(await store.candles(each)) for each in (SERIES, series)] == [1, 1]
        assert [each.indicator for each in await store.values(series)] == [text]
    assert {name.partition(".sqlite")[0] for name in os.listdir(tmp_path)} == {"s"}


def test_what_is_said_of_a_file_in_the_working_directory_is_not_taken_for_a_reason_code() -> None:
    error = failure(path_of("sqlite:///livermore.sqlite"), sqlite3.OperationalError("disk I/O error"))
    assert reason_of(error, "store.error") == "store.error"
