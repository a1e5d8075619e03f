"""What must hold of the announcements of a run: complete, in order, once, after the fact, and true."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from livermore_core.market.candle import same
from livermore_core.market.events import BACKFILLED, CLOSED, COMMITTED, GAP, HEALED, REVISED, Event
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.testing.evidence import Evidence, changes

# Seconds: the grace of 2, and 3 for everything else.
CLOSED_WITHIN, LATEST = 5.0, 15.0


def _announced(evidence: Evidence) -> Iterator[str]:
    """Each row that is held was announced: in a range, by itself, or by its last revision."""
    ranges: dict[Series, Intervals] = defaultdict(Intervals)
    single: set[tuple[Series, int, int]] = set()
    for event in evidence.log:
        if event.kind == BACKFILLED:
            ranges[event.series].add(event.time, event.until or event.time)
        elif event.candle is not None:
            single.add((event.series, event.time, event.revision))
    for series, rows in evidence.rows.items():
        for row in rows:
            is_in_range = row.revision == 0 and ranges[series].covers(row.time, row.time + 1)
            if not is_in_range and (series, row.time, row.revision) not in single:
                yield f"{series} {row.time}: revision {row.revision} was never announced"


def _in_order(evidence: Evidence) -> Iterator[str]:
    """Closes rise, and what they skip is EMPTY or was said before; a bucket is new once, and its revisions rise."""
    newest: dict[Series, int] = {}
    spoken: dict[Series, Intervals] = defaultdict(Intervals)
    first: set[tuple[Series, int]] = set()
    revisions: dict[tuple[Series, int], int] = {}
    present = {series: [row.time for row in rows] for series, rows in evidence.rows.items()}
    words: dict[tuple[Series, int], str] = {}
    for event in evidence.log:
        words.setdefault((event.series, event.time), event.kind)
    for event in evidence.log:
        series, time = event.series, event.time
        if event.kind in (CLOSED, HEALED):
            if (series, time) in first:
                yield f"{series} {time}: announced as new twice"
            first.add((series, time))
        if event.kind == CLOSED:
            before = newest.get(series)
            if before is not None and time <= before:
                yield f"{series}: closed {time} after {before}"
            elif before is not None:
                times = present.get(series, [])
                for skipped in times[bisect_right(times, before) : bisect_right(times, time - 1)]:
                    # What begins with a revision was EMPTY until then.
                    if not spoken[series].covers(skipped, skipped + 1) and words.get((series, skipped)) != REVISED:
                        yield f"{series} {skipped}: skipped by the close of {time} without a word"
            newest[series] = time
        if event.kind == REVISED:
            earlier = revisions.get((series, time), 0)
            if event.revision <= earlier:
                yield f"{series} {time}: revision {event.revision} after {earlier}"
            revisions[series, time] = event.revision
        if event.kind in (GAP, BACKFILLED):
            spoken[series].add(time, event.until or time)
        elif event.kind in (CLOSED, HEALED, REVISED):
            spoken[series].add(time, time + 1)


def _no_repeats(evidence: Evidence) -> Iterator[str]:
    """What was announced once is not announced again: the log catches up whoever was not there."""
    said: dict[tuple[object, ...], Event] = {}
    for _, event in evidence.published:
        if event.kind in COMMITTED:
            if _key(event) in said:
                yield f"{event} repeats {said[_key(event)]}"
            said[_key(event)] = event


def _durable(evidence: Evidence) -> Iterator[str]:
    """What was announced to a consumer had been written before."""
    first: dict[tuple[object, ...], int] = {}
    for number, (_, batch) in enumerate(evidence.written):
        for event in batch.events:
            first.setdefault(_key(event), number)
    for written, event in evidence.published:
        if event.kind in COMMITTED and first.get(_key(event), written) >= written:
            yield f"{event.kind} of {event.series} {event.time}: announced before it was written"


def _in_time(evidence: Evidence) -> Iterator[str]:
    """Without a fault closes are told at once: nearly all within CLOSED_WITHIN of their end, and all within LATEST."""
    if evidence.faults != []:
        return
    late = [
        (moment - event.time - WIDTHS[event.timeframe], event)
        for moment, batch in evidence.written
        for event in batch.events
        if event.kind == CLOSED
    ]
    for seconds, event in late:
        if seconds > LATEST:
            yield f"{event.series} {event.time}: closed {seconds:.1f} s after its end"
    later = sum(seconds > CLOSED_WITHIN for seconds, _ in late)
    if later > len(late) / 100:
        yield f"{later} of {len(late)} closes came more than {CLOSED_WITHIN:g} s after their end"


def _atomic(evidence: Evidence) -> Iterator[str]:
    """A row and its announcement are one transaction: neither is written before the other, or stands without it."""
    ranges: dict[Series, Intervals] = defaultdict(Intervals)
    single: set[tuple[Series, int, int]] = set()
    silent: set[tuple[Series, int, int]] = set()
    for _, batch in evidence.written:
        rows = {(each.series, row.time, row.revision) for each in batch.changes for row in each.rows}
        for event in batch.events:
            bucket = (event.series, event.time, event.revision)
            if event.kind == BACKFILLED:
                ranges[event.series].add(event.time, event.until or event.time)
            elif event.candle is not None:
                single.add(bucket)
                if bucket not in rows:
                    yield f"{event.kind} of {event.series} {event.time}: announced by a transaction without its row"
        for series, time, revision in silent & single:
            yield f"{series} {time}: revision {revision} was announced after the transaction that wrote it"
        told = {each for each in rows if each[2] == 0 and ranges[each[0]].covers(each[1], each[1] + 1)}
        silent = (silent | rows) - single - told
    yield from _rowless(evidence)
    yield from _announced(evidence)


def _rowless(evidence: Evidence) -> Iterator[str]:
    """Announcements of candles of which no row is left, at this revision or a later one."""
    held = [evidence.rows, evidence.hidden]
    there = {(series, row.time): row.revision for each in held for series, rows in each.items() for row in rows}
    for event in evidence.log:
        if event.candle is not None and there.get((event.series, event.time), -1) < event.revision:
            yield f"{event.kind} of {event.series} {event.time}: there is no row of revision {event.revision}"


def _no_ghost(evidence: Evidence) -> Iterator[str]:
    """An announced candle is the one of its bucket, and was stored as it was announced."""
    stored = {(change.series, row.time, row.revision): row for _, change in changes(evidence) for row in change.rows}
    for event in evidence.log:
        if event.candle is None:
            continue
        row = stored.get((event.series, event.time, event.revision))
        is_written = row is not None or not evidence.written
        if event.candle.time != event.time or not is_written or (row is not None and not same(row, event.candle)):
            yield f"{event.kind} of {event.series} {event.time} says {event.candle}, stored was {row}"


def _key(event: Event) -> tuple[object, ...]:
    indicator = event.value.indicator if event.value is not None else ""
    return (*event.series, event.time, event.revision, event.kind, indicator)


ANNOUNCEMENT_CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "S8": _atomic,
    "E1": _announced,
    "E2": _in_order,
    "E3": _no_repeats,
    "E4": _durable,
    "E5": _no_ghost,
    "E7": _in_time,
}
