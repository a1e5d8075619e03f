"""A store in memory: the whole store protocol, nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from livermore_core.errors import CursorExpiredError
from livermore_core.market.candle import Candle
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.store.protocol import Batch, SeriesChange


class MemoryStore:
    """Implements CandleStore with dictionaries; passes the same StoreContract as the real ones."""

    def __init__(self) -> None:
        self._rows: dict[Series, dict[int, Candle]] = {}
        self._hidden: dict[Series, dict[int, Candle]] = {}
        self._coverage: dict[Series, Intervals] = {}
        self._values: dict[Series, dict[str, IndicatorValue]] = {}
        self._events: list[Event] = []
        self._forgotten = 0
        self._keys: set[tuple[object, ...]] = set()
        self._status: dict[str, Any] | None = None
        self._grown = asyncio.Condition()

    async def transact(self, batch: Batch) -> str:
        """Apply the batch; nothing in it can fail half-way."""
        for change in batch.changes:
            self._apply(change)
        for event in batch.events:
            indicator = event.value.indicator if event.value is not None else ""
            key = (*event.series, event.time, event.revision, event.kind, indicator)
            if key not in self._keys:
                self._keys.add(key)
                self._events.append(event)
        async with self._grown:
            self._grown.notify_all()
        return await self.head()

    async def candles(
        self, series: Series, *, last: int | None = None, since: int | None = None, until: int | None = None
    ) -> list[Candle]:
        """Present candles, ascending."""
        rows = _within(self._rows.get(series, {}), since, until)
        return rows if last is None else rows[max(0, len(rows) - last) :]

    async def count(self, series: Series, since: int, until: int) -> int:
        """How many present candles."""
        return len(await self.candles(series, since=since, until=until))

    async def hidden(self, series: Series, since: int, until: int) -> list[Candle]:
        """Hidden rows, ascending."""
        return _within(self._hidden.get(series, {}), since, until)

    async def coverage(self, series: Series) -> Intervals:
        """What is known of the series."""
        return self._coverage.get(series, Intervals()).copy()

    async def series(self) -> list[Series]:
        """Every series of which anything is known, sorted."""
        return sorted({*self._rows, *self._coverage})

    async def values(self, series: Series) -> list[IndicatorValue]:
        """The latest values, sorted by indicator."""
        return [value for _, value in sorted(self._values.get(series, {}).items())]

    async def events(self, after: str = "", limit: int = 1000, until: str = "") -> list[tuple[str, Event]]:
        """Events after the cursor, each with its own."""
        first, end = self._index(after, 0), self._index(until, len(self._events))
        if not 0 <= first <= len(self._events):
            raise CursorExpiredError(after, str(self._forgotten))
        events = self._events[first : max(0, min(first + limit, end))]
        return [(str(position), event) for position, event in enumerate(events, start=self._forgotten + first + 1)]

    def _index(self, cursor: str, otherwise: int) -> int:
        if not cursor:
            return otherwise
        if not self.order(cursor):
            raise CursorExpiredError(cursor, str(self._forgotten))
        return int(cursor) - self._forgotten

    def order(self, cursor: str) -> tuple[int, ...]:
        """The number of events that the cursor knows."""
        return (int(cursor),) if cursor.isdecimal() else ()

    async def head(self) -> str:
        """The cursor after the newest event."""
        return str(self._forgotten + len(self._events))

    async def before_newest(self, count: int) -> str:
        """The cursor before so many newest events."""
        return str(self._forgotten + max(0, len(self._events) - count))

    async def wait(self, after: str, within: float) -> None:
        """Wait for who writes in this process."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within), self._grown:
                await self._grown.wait_for(lambda: str(self._forgotten + len(self._events)) != after)

    async def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status row."""
        self._status = dict(status)

    async def read_status(self) -> dict[str, Any] | None:
        """The status row."""
        return self._status

    async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
        """Keep the newest candles per series, and the newest events (all of them, unless told how many)."""
        too_many = 0 if events is None else max(0, len(self._events) - events)
        self._forgotten += too_many
        del self._events[:too_many]
        gone = 0
        for series, rows in self._rows.items():
            count = keep.get(series.timeframe)
            if count is None or len(rows) <= count:
                continue
            edge = sorted(rows)[len(rows) - count]
            for time in [time for time in rows if time < edge]:
                del rows[time]
                gone += 1
            self._coverage[series].remove(0, edge)
        return gone

    def _apply(self, change: SeriesChange) -> None:
        rows = self._rows.setdefault(change.series, {})
        hidden = self._hidden.setdefault(change.series, {})
        coverage = self._coverage.setdefault(change.series, Intervals())
        for start, end in change.uncovered:
            coverage.remove(start, end)
        for start, end in change.covered:
            coverage.add(start, end)
        for row in change.rows:
            hidden.pop(row.time, None)
            rows[row.time] = row
        for row in change.hidden:
            rows.pop(row.time, None)
            hidden[row.time] = row
        for value in change.values:
            self._values.setdefault(change.series, {})[value.indicator] = value


def _within(rows: Mapping[int, Candle], since: int | None, until: int | None) -> list[Candle]:
    return [
        row
        for time, row in sorted(rows.items())
        if (since is None or time >= since) and (until is None or time < until)
    ]
