"""Keeps a table true to a store that others write: a snapshot, then its events; anew where the store goes and comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from livermore_core.cli.watching.table import DAY, Known, Symbol, Table
from livermore_core.errors import CursorExpiredError, LivermoreError
from livermore_core.exchange.heal import backoff
from livermore_core.market.events import Event
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, floor
from livermore_core.status import NOT_RUNNING, STUCK, state_of
from livermore_core.store.finding import find_wanted
from livermore_core.store.protocol import CandleStore

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
# Where nobody writes, another store may have taken the place of the one that is open.
LOOK_ANEW = 5.0

Told = Callable[[Sequence[Event]], None]


class Follower:
    """Has the `table`, the `status` row, and as `trouble` why the store cannot be read, if it cannot."""

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[CandleStore]],
        empty: Callable[[], Table],
        within: float = 1.0,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self.table = empty()
        self.status: dict[str, Any] | None = None
        self.trouble = ""
        self._opening, self._empty = opening, empty
        self._within, self._pause = within, pause
        self._cursor: str | None = None
        self._failures = 0

    async def follow(self, told: Told) -> None:
        """Read for ever; `told` of each batch of events, and with none when all was read, or trouble began.

        Raises what the first opening and reading raise.
        """
        while True:
            try:
                async with self._opening() as store:
                    await self._resume(store)
                    await self._keep_up(store, told)
            except LivermoreError as error:
                if self._cursor is None:
                    raise
                self.trouble = str(error)
                told(())
                await asyncio.sleep(backoff(self._failures, self._pause, LONGEST_PAUSE))
                self._failures += 1

    async def look(self) -> None:
        """Read everything once. Raises StoreError, NotStoredError."""
        async with self._opening() as store:
            await self.read(store)

    def complaint(self) -> str:
        """The trouble as a line, if there is any."""
        return f"the store cannot be read: {self.trouble}; trying again" if self.trouble else ""

    async def read(self, store: CandleStore) -> None:
        """Read everything that is shown."""
        cursor, table = await store.head(), self._empty()
        self.status = await store.read_status()
        await self._load_all(store, table)
        self.table, self._cursor = table, cursor

    async def _load_all(self, store: CandleStore, table: Table) -> None:
        table.symbols = await find_wanted(store, table.symbols)
        wanted = [series for series in await store.series() if table.wants(series)]
        await _load(store, table, wanted)
        await _look_back(store, table, {series[:2] for series in wanted})

    async def _resume(self, store: CandleStore) -> None:
        """Go on after the last event where the same process still writes; otherwise it may be another store."""
        status = await store.read_status()
        if self._cursor is None or _writer(status) is None or _writer(status) != _writer(self.status):
            await self.read(store)

    async def _keep_up(self, store: CandleStore, told: Told) -> None:
        """Follow the log, until nobody has written it for a while."""
        opened = asyncio.get_running_loop().time()
        told(())
        while not (_is_left(self.status) and asyncio.get_running_loop().time() - opened > LOOK_ANEW):
            assert self._cursor is not None
            await store.wait(self._cursor, self._within)
            await self._look_at_status(store)
            events = await self._next(store)
            self._failures, self.trouble = 0, ""
            told(events)

    async def _look_at_status(self, store: CandleStore) -> None:
        status = await store.read_status()
        if _phase(status) != _phase(self.status):  # what the indicators are warmed with is stored, not announced
            await self._load_all(store, self.table)
        self.status = status

    async def _next(self, store: CandleStore) -> list[Event]:
        assert self._cursor is not None
        try:
            found = await store.events(self._cursor)
        except CursorExpiredError:
            await self.read(store)
            return []
        events = [event for _, event in found if self.table.wants(event.series)]
        with_gaps = {series for series, known in self.table.known.items() if known.gaps}
        unclear = with_gaps | {event.series for event in events if not self.table.take(event)}
        await _load(store, self.table, unclear)
        await _look_back(store, self.table, {series[:2] for series in (*unclear, *(event.series for event in events))})
        self._cursor = found[-1][0] if found else self._cursor
        return events


def _is_left(status: dict[str, Any] | None) -> bool:
    return state_of(status) in (NOT_RUNNING, STUCK)


def _writer(status: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return None if status is None else (status.get("host"), status.get("pid"), status.get("started"))


def _phase(status: dict[str, Any] | None) -> tuple[Any, ...]:
    return (_writer(status), None if status is None else status["state"])


async def _load(store: CandleStore, table: Table, wanted: Iterable[Series]) -> None:
    """Read the latest of some series."""
    for series in wanted:
        newest = await store.candles(series, last=1)
        coverage = await store.coverage(series)
        values = {value.indicator: value for value in await store.values(series)}
        table.indicators |= set(values)
        gaps = len(coverage.missing(coverage.start or 0, coverage.end or 0))
        table.known[series] = Known(newest[-1] if newest else None, values.get(table.indicator), gaps)


async def _look_back(store: CandleStore, table: Table, symbols: Iterable[Symbol]) -> None:
    """Find the prices of 24 hours before the last closes."""
    for symbol in symbols:
        newest = table.newest(symbol)
        if newest is not None:
            table.day_before[symbol] = await _price_at(store, table, symbol, newest[0] - DAY)


async def _price_at(store: CandleStore, table: Table, symbol: Symbol, moment: int) -> float | None:
    """The last close at a moment, or at most a bucket before: of the narrowest timeframe that knows it."""
    for timeframe in WIDTHS:
        series, edge = Series(*symbol, timeframe), floor(moment, timeframe)
        found = await store.candles(series, last=1, until=edge) if series in table.known else []
        if found and (await store.coverage(series)).covers(found[-1].time, edge):
            return found[-1].close
    return None
