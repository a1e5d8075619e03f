"""What a store implements: one way to write, a few ways to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from livermore_core.market.candle import Candle
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.series import Series

# Beyond every candle: the year 36812.
END = 1 << 40


class SeriesChange(msgspec.Struct, kw_only=True):
    """What one transaction changes in one series.

    Applied in this order: `uncovered` leaves coverage, `covered` joins it, `rows` are stored (present), `hidden` rows
    are stored but shown to nobody (a retracted or withdrawn candle, kept for its revision), `values` become the latest.
    """

    series: Series
    rows: Sequence[Candle] = ()
    hidden: Sequence[Candle] = ()
    covered: Sequence[Interval] = ()
    uncovered: Sequence[Interval] = ()
    values: Sequence[IndicatorValue] = ()


class Batch(msgspec.Struct, kw_only=True):
    """Changes and their announcements: all of it is durable, or none of it."""

    changes: list[SeriesChange] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)


class CandleStore(Protocol):
    """One open store. Every method raises StoreError where the store cannot be read or written.

    Optional: `async def check() -> None` (reads everything there is, and raises StoreError where it is corrupt);
    `async def before_newest(count: int) -> str` (the cursor after which the log has its newest `count` events, more, or
    all it keeps: without it who wants the newest reads all);
    `broken`, a future that gets a StoreCorruptError once what it keeps is found damaged: the run ends with it.
    """

    async def transact(self, batch: Batch) -> str:
        """Make the batch durable as one transaction; returns the cursor after its events.

        An event whose key (exchange, symbol, timeframe, time, revision, kind, and for values the indicator) is already
        in the log is not added again.
        """

    async def candles(
        self, series: Series, *, last: int | None = None, since: int | None = None, until: int | None = None
    ) -> list[Candle]:
        """Present candles, ascending; since <= time < until; only the newest `last` of them."""

    async def count(self, series: Series, since: int, until: int) -> int:
        """How many present candles there are with since <= time < until."""

    async def hidden(self, series: Series, since: int, until: int) -> list[Candle]:
        """Hidden rows of the range, ascending: what was withdrawn or retracted."""

    async def coverage(self, series: Series) -> Intervals:
        """What is known of the series."""

    async def series(self) -> list[Series]:
        """Every series of which anything is known, sorted."""

    async def values(self, series: Series) -> list[IndicatorValue]:
        """The latest value of each indicator on the series, sorted by indicator, state included."""

    async def events(self, after: str = "", limit: int = 1000, until: str = "") -> list[tuple[str, Event]]:
        """Up to `limit` events after the cursor, in order, each with its own cursor; "" begins with the oldest kept.

        With `until`, a cursor too, those alone that it knows. Raises CursorExpiredError where some of those after the
        cursor are no longer kept, or a cursor is not of this log.
        """

    def order(self, cursor: str) -> tuple[int, ...]:
        """What sorts cursors: one that knows all that another knows comes after it; zeros before the first event ever.

        Empty for a cursor that is not of this log.
        """

    async def head(self) -> str:
        """The cursor after the newest event."""

    async def wait(self, after: str, within: float) -> None:
        """Return once the log has an event after the cursor, whoever wrote it, or after `within` seconds."""

    async def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status row (JSON-able)."""

    async def read_status(self) -> dict[str, Any] | None:
        """The status row, or None where there never was one."""

    async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
        """Keep the newest `keep[timeframe]` candles per series; older rows and their coverage go in one transaction.

        Of the event log (of each, where a store has several) no more than the newest `events` are kept, by default as
        many as the store thinks right. Returns the number of rows deleted.
        """
