"""Writing to SQLite: every batch is applied whole or not at all, many of them in one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from livermore_core.errors import StoreError
from livermore_core.market.candle import Candle
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.series import Series
from livermore_core.store.protocol import Batch, SeriesChange
from livermore_core.store.schema import HEAD, to_row
from livermore_core.store.sqlite_file import failure


class Writer:
    """The one writer; runs on the store's executor only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._identities: dict[Series, int] = {}
        self.commits = 0

    def commit(self, batches: Sequence[Batch]) -> list[str | StoreError]:
        """Apply the batches in one transaction; the outcome of each: the cursor after it, or why it failed."""
        try:
            return self._together(batches)
        except (sqlite3.Error, TypeError, ValueError, ArithmeticError) as error:  # or one cannot be encoded
            self._identities.clear()  # some of them were rolled back
            if len(batches) == 1:
                return [failure("the store refused a write", error)]
            # One of them poisons the others: each by itself shows which.
            return [outcome for batch in batches for outcome in self.commit([batch])]

    def write_status(self, payload: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO status VALUES (1, ?)", (payload,))

    def trim(self, keep: Mapping[str, int], events: int) -> int:
        """Delete all but the newest rows of each series, their coverage, and old events, in one transaction."""
        deleted = 0
        execute = self._connection.execute
        with _Transaction(self._connection):
            for identity, timeframe in execute("SELECT id, timeframe FROM series").fetchall():
                edge = execute(
                    "SELECT time FROM candles WHERE series = ? AND NOT hidden ORDER BY time DESC LIMIT 1 OFFSET ?",
                    (identity, keep.get(timeframe, 1 << 40) - 1),
                ).fetchone()
                if edge is None:
                    continue
                cursor = execute("DELETE FROM candles WHERE series = ? AND time < ?", (identity, edge[0]))
                deleted += cursor.rowcount
                coverage = self._coverage(identity)
                coverage.remove(0, edge[0])
                self._replace_coverage(identity, coverage)
            self._forget(events)
        return deleted

    def _forget(self, kept: int) -> None:
        """Delete old events, and remember the last of them: a reader may not have come so far."""
        execute = self._connection.execute
        (last,) = execute(
            "SELECT max(position) FROM events WHERE position <= (SELECT max(position) FROM events) - ?", (kept,)
        ).fetchone()
        if last is not None:
            execute("DELETE FROM events WHERE position <= ?", (last,))
            execute("INSERT OR REPLACE INTO meta VALUES ('forgotten', ?)", (last,))

    def _together(self, batches: Sequence[Batch]) -> list[str | StoreError]:
        cursors: list[str | StoreError] = []
        with _Transaction(self._connection):
            for batch in batches:
                for change in batch.changes:
                    self._change(change)
                for event in batch.events:
                    self._event(event)
                cursors += self._connection.execute(HEAD).fetchone()
        self.commits += 1
        return cursors

    def _change(self, change: SeriesChange) -> None:
        identity = self._identity(change.series)
        self._extend(identity, change.covered, change.uncovered)
        if change.rows:
            self._candles(identity, change.rows, hidden=False)
        if change.hidden:
            self._candles(identity, change.hidden, hidden=True)
        for value in change.values:
            self._value(identity, value)

    def _candles(self, identity: int, candles: Sequence[Candle], hidden: bool) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [to_row(identity, candle, hidden) for candle in candles],
        )

    def _value(self, identity: int, value: IndicatorValue) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO indicator_values VALUES (?, ?, ?)",
            (identity, value.indicator, msgspec.msgpack.encode(value)),
        )

    def _event(self, event: Event) -> None:
        indicator = event.value.indicator if event.value is not None else ""
        self._connection.execute(
            "INSERT OR IGNORE INTO events (series, time, revision, kind, indicator, payload) VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._identity(event.series),
                event.time,
                event.revision,
                event.kind,
                indicator,
                msgspec.msgpack.encode(event),
            ),
        )

    def _extend(self, identity: int, covered: Sequence[Interval], uncovered: Sequence[Interval]) -> None:
        if not covered and not uncovered:
            return
        coverage = self._coverage(identity)
        for start, end in uncovered:
            coverage.remove(start, end)
        for start, end in covered:
            coverage.add(start, end)
        self._replace_coverage(identity, coverage)

    def _coverage(self, identity: int) -> Intervals:
        return Intervals(
            self._connection.execute("SELECT start, until FROM coverage WHERE series = ?", (identity,)).fetchall()
        )

    def _replace_coverage(self, identity: int, coverage: Intervals) -> None:
        self._connection.execute("DELETE FROM coverage WHERE series = ?", (identity,))
        self._connection.executemany(
            "INSERT INTO coverage VALUES (?, ?, ?)", [(identity, start, end) for start, end in coverage]
        )

    def _identity(self, series: Series) -> int:
        found = self._identities.get(series)
        if found is None:
            execute = self._connection.execute
            execute("INSERT OR IGNORE INTO series (exchange, symbol, timeframe) VALUES (?, ?, ?)", tuple(series))
            found = execute(
                "SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?", tuple(series)
            ).fetchone()[0]
            self._identities[series] = found
        return found


class _Transaction:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK of all of it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
