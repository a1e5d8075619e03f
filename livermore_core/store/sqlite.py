"""The embedded store: one SQLite file, one writer connection off the event loop, group commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from livermore_core.errors import CursorExpiredError, StoreCorruptError, StoreError
from livermore_core.market.candle import Candle
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.store.lock import only_writer
from livermore_core.store.protocol import Batch
from livermore_core.store.schema import BEFORE_NEWEST, COLUMNS, EVENTS_AFTER, HEAD, absent, place_of, to_candle
from livermore_core.store.sqlite_file import OpenFile, check_sound, failure, make_room, path_of, set_aside
from livermore_core.store.sqlite_writer import Writer

# Some days of 25 live symbols; a consumer that is further behind starts from a snapshot.
EVENTS_KEPT = 500_000
# Seconds between two looks at the log, which take some 50 us: soon after an event, later where it is quiet.
LOOK_SOON, LOOK_EVERY = 0.001, 0.02
Answer = TypeVar("Answer")


@asynccontextmanager
async def open_store(
    url: str,
    *,
    read_only: bool = False,
    glance: bool = False,
    on_corrupt: str = "rebuild",
    executor: Executor | None = None,
) -> AsyncIterator[SqliteStore]:
    """Open `sqlite:///relative` or `sqlite:////absolute`; `executor` runs every statement (one thread by default).

    A `glance` is a reader that makes no file at all, and need not see what is written while it looks. A corrupt file is
    set aside; with `on_corrupt="stop"` it is left where it is, and StoreCorruptError raised.
    Raises ConfigurationError for a path that cannot be written or a file that is not ours, StoreHeldError where another
    instance writes it, StoreError where there is nothing to read, or the file cannot be opened.
    """
    path = path_of(url)
    async with AsyncExitStack() as stack:
        if executor is None:
            executor = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="livermore-store"))
        rebuilt = None
        if read_only:
            if not path.is_file():
                raise absent(path)
        else:
            make_room(path)
            stack.enter_context(only_writer(path))
            try:
                check_sound(path, read_only=False)
            except StoreCorruptError as error:
                if on_corrupt == "stop":
                    raise StoreCorruptError(f'{error}; move it away, or let on_corrupt = "rebuild" do so') from None
                rebuilt = set_aside(path)
        try:
            file = await asyncio.get_running_loop().run_in_executor(executor, OpenFile, path, read_only, glance)
        except sqlite3.Error as error:
            raise failure(path, error) from error
        store = SqliteStore(file, executor, path, rebuilt)
        try:
            yield store
        finally:
            await store.close()


class SqliteStore:
    """Implements CandleStore. `commits` counts transactions; `rebuilt` is where a corrupt file was moved, if it was.

    `broken` gets a StoreCorruptError once the file turns out to be corrupt.
    """

    def __init__(self, file: OpenFile, executor: Executor, path: Path, rebuilt: Path | None = None) -> None:
        self.path, self.rebuilt = path, rebuilt
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._file, self._executor = file, executor
        self._writer = Writer(file.connection)
        self._pending: list[tuple[Batch, asyncio.Future[str]]] = []
        self._committing = self._is_closed = False

    @property
    def commits(self) -> int:
        """How many transactions were committed; fewer than batches where they came together."""
        return self._writer.commits

    async def transact(self, batch: Batch) -> str:
        """Make the batch durable; batches that come at once, or while a commit runs, share the next one."""
        self._check_open()
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pending.append((batch, outcome))
        if not self._committing:
            self._committing = True
            outcome.get_loop().call_soon(self._commit_pending)
        return await outcome

    def _commit_pending(self) -> None:
        group, self._pending = self._pending, []
        if not group:
            return  # closing was quicker
        batches = [batch for batch, _ in group]
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._writer.commit, batches)
        running.add_done_callback(lambda done: self._committed(done, [outcome for _, outcome in group]))

    def _committed(self, done: asyncio.Future[list[str | StoreError]], outcomes: list[asyncio.Future[str]]) -> None:
        failure = done.exception()
        results = [StoreError(f"{self.path}: {failure!r}")] * len(outcomes) if failure else done.result()
        for outcome, result in zip(outcomes, results, strict=True):
            if outcome.done():
                continue
            if isinstance(result, StoreError):
                outcome.set_exception(self._noted(result))
                outcome.exception()  # its caller may have been cancelled, and nobody hear of it
            else:
                outcome.set_result(result)
        self._committing = bool(self._pending)
        if self._committing:
            self._commit_pending()

    async def close(self) -> None:
        """Commit what has come, and close the file; both finish even where the caller is cancelled."""
        self._is_closed = True
        self._commit_pending()
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, self._file.close))

    async def candles(
        self, series: Series, *, last: int | None = None, since: int | None = None, until: int | None = None
    ) -> list[Candle]:
        """Present candles, ascending."""
        low, high = -1 if since is None else since, 1 << 60 if until is None else until
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM candles WHERE series = (SELECT id FROM series WHERE exchange = ? AND symbol = ?"
            " AND timeframe = ?) AND time >= ? AND time < ? AND NOT hidden ORDER BY time DESC LIMIT ?",
            (*series, low, high, -1 if last is None else last),
        )
        return [to_candle(row) for row in reversed(rows)]

    async def count(self, series: Series, since: int, until: int) -> int:
        """How many present candles."""
        rows = await self._rows(
            "SELECT count(*) FROM candles WHERE series = (SELECT id FROM series WHERE exchange = ? AND symbol = ?"
            " AND timeframe = ?) AND time >= ? AND time < ? AND NOT hidden",
            (*series, since, until),
        )
        return int(rows[0][0])

    async def hidden(self, series: Series, since: int, until: int) -> list[Candle]:
        """Hidden rows, ascending."""
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM candles WHERE series = (SELECT id FROM series WHERE exchange = ? AND symbol = ?"
            " AND timeframe = ?) AND time >= ? AND time < ? AND hidden ORDER BY time",
            (*series, since, until),
        )
        return [to_candle(row) for row in rows]

    async def coverage(self, series: Series) -> Intervals:
        """What is known of the series."""
        return Intervals(
            await self._rows(
                "SELECT start, until FROM coverage WHERE series = (SELECT id FROM series WHERE exchange = ?"
                " AND symbol = ? AND timeframe = ?)",
                tuple(series),
            )
        )

    async def series(self) -> list[Series]:
        """Every series of which anything is known, sorted."""
        rows = await self._rows("SELECT exchange, symbol, timeframe FROM series ORDER BY 1, 2, 3")
        return [Series(*row) for row in rows]

    async def values(self, series: Series) -> list[IndicatorValue]:
        """The latest value of each indicator."""
        rows = await self._rows(
            "SELECT payload FROM indicator_values WHERE series = (SELECT id FROM series WHERE exchange = ?"
            " AND symbol = ? AND timeframe = ?) ORDER BY indicator",
            tuple(series),
        )
        return [msgspec.msgpack.decode(payload, type=IndicatorValue) for (payload,) in rows]

    async def events(self, after: str = "", limit: int = 1000, until: str = "") -> list[tuple[str, Event]]:
        """Events after the cursor, each with its own."""
        first, last = place_of(after), place_of(until)
        rows = await self._rows(EVENTS_AFTER, (first[1], last[1] if until else 1 << 60, limit))
        epoch, forgotten, newest = rows[0][:3]
        if after and not (epoch, forgotten) <= first <= (epoch, newest):
            raise CursorExpiredError(after, f"{epoch}-{forgotten}")
        if until and last[0] != epoch:
            raise CursorExpiredError(until, f"{epoch}-{forgotten}")
        return [(f"{epoch}-{at}", msgspec.msgpack.decode(payload, type=Event)) for *_, at, payload in rows if at]

    def order(self, cursor: str) -> tuple[int, ...]:
        """The position of the last event that the cursor knows."""
        epoch, position = place_of(cursor)
        return (position,) if epoch == self._file.epoch else ()

    async def head(self) -> str:
        """The cursor after the newest event."""
        ((cursor,),) = await self._rows(HEAD)
        return str(cursor)

    async def before_newest(self, count: int) -> str:
        """The cursor before so many newest events."""
        ((cursor,),) = await self._rows(BEFORE_NEWEST, (count,))
        return str(cursor)

    async def wait(self, after: str, within: float) -> None:
        """Look at the log now and then: who writes a file cannot wake its readers."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + within, LOOK_SOON
        while await self.head() == after and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(LOOK_EVERY, 2.0 * pause)

    async def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status row."""
        await self._run(self._writer.write_status, msgspec.json.encode(status))

    async def read_status(self) -> dict[str, Any] | None:
        """The status row."""
        rows = await self._rows("SELECT payload FROM status")
        return msgspec.json.decode(rows[0][0], type=dict[str, Any]) if rows else None

    async def check(self) -> None:
        """Read the whole file, while others write. Raises StoreCorruptError where it is damaged."""
        await asyncio.to_thread(check_sound, self.path, read_only=True)

    async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
        """Keep the newest candles per series, and the newest events."""
        return await self._run(self._writer.trim, dict(keep), EVENTS_KEPT if events is None else events)

    async def _rows(self, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        return await self._run(self._file.rows, statement, parameters)

    async def _run(self, action: Callable[..., Answer], *arguments: object) -> Answer:
        """Run `action` where the connection lives; it finishes even where its caller is cancelled."""
        self._check_open()
        running = asyncio.get_running_loop().run_in_executor(self._executor, action, *arguments)
        try:
            return await asyncio.shield(running)
        except sqlite3.Error as error:
            raise self._noted(failure(self.path, error)) from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self.path}: the store is closed")

    def _noted(self, error: StoreError) -> StoreError:
        if isinstance(error, StoreCorruptError) and not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # nobody may be listening
        return error
