"""What a killed process left behind: what must hold of its store, of its journal and of what a consumer had read."""

from __future__ import annotations

import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from crashing import Record

from livermore_core import Batch, CandleStore, Event, Series, open_reader, same, width
from livermore_core.market.intervals import Intervals
from livermore_core.testing import Evidence, Violation, look
from livermore_core.testing.checker import CHECKS

# What holds at any moment; a quiet one alone has no hole and equals the truth.
ALWAYS = ("S3", "S4", "S5", "S6", "S7", "S8", "E1", "E2", "I3", "I5")
BACKFILLED, GAP = "candles.backfilled", "candle.gap"


class Consumer:
    """Follows the event log beside the process that writes it, as another program would, and keeps what it read."""

    def __init__(self, url: str) -> None:
        self.read: list[tuple[str, Event]] = []
        self.problems: list[str] = []
        self._url = url

    @property
    def gaps(self) -> int:
        """How many gaps it read of."""
        return sum(event.kind == GAP for _, event in self.read)

    async def catch_up(self) -> None:
        """Read everything there is."""
        async with open_reader(self._url) as store:
            await self.take(store)

    async def take(self, store: CandleStore) -> None:
        """Read what is new, and the row of the newest candle of it."""
        newest, after = None, self.read[-1][0] if self.read else ""
        while events := await store.events(after=after, limit=5000):
            self.read += events
            after = events[-1][0]
            newest = next((event for _, event in reversed(events) if event.candle is not None), newest)
        if newest is not None and not await self._is_stored(store, newest):
            self.problems.append(f"{newest.kind} of {newest.series} {newest.time} was read, its row is not there")

    async def _is_stored(self, store: CandleStore, event: Event) -> bool:
        since, until = event.time, event.time + 1
        rows = await store.candles(event.series, since=since, until=until)
        start = (await store.coverage(event.series)).start
        # Its row may have been trimmed in the meantime.
        is_trimmed = start is not None and start > event.time
        return bool(rows or await store.hidden(event.series, since, until)) or is_trimmed


class Journal:
    """What every process that was killed handed to its store, and which of it was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[float, Batch]] = []
        self.handed_over: list[tuple[float, Batch]] = []

    def add(self, path: Path) -> None:
        """Read the journal of one process; a record that the kill tore was not acknowledged."""
        batches: dict[int, Batch] = {}
        for record in _records(path.read_bytes() if path.exists() else b""):
            if record.batch is not None:
                batches[record.number] = msgspec.convert(record.batch, Batch)
                self.handed_over.append((record.moment, batches[record.number]))
            else:
                self.acknowledged.append((record.moment, batches[record.number]))

    @property
    def rows(self) -> int:
        """How many rows were acknowledged."""
        return sum(len(change.rows) for _, batch in self.acknowledged for change in batch.changes)


def _records(content: bytes) -> Iterator[Record]:
    position = 0
    while position + 4 <= len(content):
        (size,) = struct.unpack_from(">I", content, position)
        if position + 4 + size > len(content):
            return
        yield msgspec.msgpack.decode(content[position + 4 : position + 4 + size], type=Record)
        position += 4 + size


async def judge(
    path: Path, series: Sequence[Series], journal: Journal, consumer: Consumer, keep: Mapping[str, int]
) -> list[Violation]:
    """Everything that does not hold of the store at `path`, while nobody writes it."""
    unsound = _integrity(path)
    if unsound:
        return [Violation("S8", f"integrity_check: {unsound}")]
    async with open_reader(f"sqlite:///{path}") as store:
        evidence = await look(store, series, now=0.0, written=journal.acknowledged)
        log = dict(await store.events(limit=1 << 40))
    found = [Violation("S3", what) for what in _read_and_gone(consumer, log)]
    found += [Violation("E4", consumer.problems.pop()) for _ in list(consumer.problems)]
    found += [Violation("E2", what) for what in _said_twice(evidence)]
    found += [Violation("S3", what) for what in _trimmed_too_far(evidence, keep)]
    found += [Violation("S8", what) for what in _uncovered(evidence)]
    found += [Violation("S7", what) for what in _altered(evidence)]
    kept = still_kept(evidence)
    found += [Violation(name, what) for name in ALWAYS for what in CHECKS[name](kept)]
    kept.written = journal.handed_over
    return found + [Violation("E5", what) for what in CHECKS["E5"](kept)]


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        answers = [answer for (answer,) in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return "" if answers == ["ok"] else "; ".join(answers)


def _read_and_gone(consumer: Consumer, log: Mapping[str, Event]) -> Iterator[str]:
    """What a consumer has read is still there, word for word."""
    for cursor, event in consumer.read:
        if log.get(cursor) != event:
            yield f"{cursor} was read as {event}, now it is {log.get(cursor)}"


def _said_twice(evidence: Evidence) -> Iterator[str]:
    """A range is announced as known once, unless it was said to be unknown in between."""
    known: dict[Series, Intervals] = defaultdict(Intervals)
    for event in evidence.log:
        until = event.until or event.time
        if event.kind == GAP:
            known[event.series].remove(event.time, until)
        elif event.kind == BACKFILLED:
            for low, high in known[event.series].within(event.time, until):
                yield f"{event.series}: [{low}, {high}) was announced as known before"
            known[event.series].add(event.time, until)


def left_open(evidence: Evidence) -> Iterator[str]:
    """A range that was said to be unknown is said to be known once it is: to who only reads, it stays unknown else."""
    unknown: dict[Series, Intervals] = defaultdict(Intervals)
    for event in evidence.log:
        if event.kind == GAP:
            unknown[event.series].add(event.time, event.until or event.time)
        elif event.value is None:
            unknown[event.series].remove(event.time, event.until or event.time + width(event.timeframe))
    for series, ranges in unknown.items():
        for low, high in ranges:
            for since, until in evidence.coverage[series].within(low, high):
                yield f"{series}: [{since}, {until}) was said to be unknown, is known, and nobody says so"


def _trimmed_too_far(evidence: Evidence, keep: Mapping[str, int]) -> Iterator[str]:
    """Where acknowledged rows lie before what is known, they were trimmed, and as many are left as are to be kept."""
    for series, start in _starts(evidence).items():
        left = len(evidence.rows[series]) + len(evidence.hidden[series])
        times = {
            row.time
            for _, batch in evidence.written
            for change in batch.changes
            if change.series == series
            for row in change.rows
        }
        gone = sum(time < start for time in times)
        if gone and left < keep.get(series.timeframe, len(times)):
            yield f"{series}: {gone} rows are gone, {left} are left"


def _uncovered(evidence: Evidence) -> Iterator[str]:
    """A row that is shown is known."""
    for series, rows in evidence.rows.items():
        for row in rows:
            if not evidence.coverage[series].covers(row.time, row.time + 1):
                yield f"{series} {row.time}: there is a row, and nothing is known"


def _altered(evidence: Evidence) -> Iterator[str]:
    """A row has the values with which its revision was acknowledged."""
    stored = {(series, row.time): row for series, rows in evidence.rows.items() for row in rows}
    for _, batch in evidence.written:
        for change in batch.changes:
            for row in change.rows:
                now = stored.get((change.series, row.time))
                if now is not None and now.revision == row.revision and not same(now, row):
                    yield f"{change.series}: {row} was acknowledged, {now} is stored"


def still_kept(evidence: Evidence) -> Evidence:
    """The evidence without what was said and acknowledged of rows that were trimmed since."""
    starts = _starts(evidence)
    log = [event for event in evidence.log if (event.until or event.time + 1) > starts.get(event.series, 0)]
    written = [(moment, _without(batch, starts)) for moment, batch in evidence.written]
    return msgspec.structs.replace(evidence, log=log, written=written)


def _starts(evidence: Evidence) -> dict[Series, int]:
    return {each: known.start for each, known in evidence.coverage.items() if known.start is not None}


def _without(batch: Batch, starts: Mapping[Series, int]) -> Batch:
    return Batch(
        changes=[
            msgspec.structs.replace(
                change, rows=[row for row in change.rows if row.time >= starts.get(change.series, 0)]
            )
            for change in batch.changes
        ],
        events=[event for event in batch.events if (event.until or event.time + 1) > starts.get(event.series, 0)],
    )
