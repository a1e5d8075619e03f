"""Holds what a run did against the truth: every invariant by its id, pure, over evidence that was gathered before."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isclose, isfinite
from typing import Any, NamedTuple

import msgspec

from livermore_core.indicators.host import SeriesHost
from livermore_core.indicators.indicator import Indicator
from livermore_core.market.candle import Candle, merge, same
from livermore_core.market.events import BACKFILLED, CLOSED, COMMITTED, GAP, HEALED, REVISED, Event, IndicatorValue
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, ladder
from livermore_core.store.protocol import Batch, CandleStore, SeriesChange

# A bucket that ended so many seconds ago is settled.
SETTLED = 120
RELATIVE_ERROR = 1e-9
CONNECTIONS_PER_HOUR = 150
LINES_PER_MINUTE = 60

Row = tuple[int, float, float, float, float, float]
Truth = Callable[[str, str, int, int], Sequence[Row]]


class Violation(NamedTuple):
    """An invariant that does not hold, and where."""

    invariant: str
    what: str


class Evidence(msgspec.Struct, kw_only=True):
    """What a run left behind.

    `now` is the exchange's clock at the end. `rows`, `hidden`, `coverage`, `values` and `log` are what the store holds;
    `written` the acknowledged batches with the exchange's moment, `published` the announcements, each with how many
    batches had been acknowledged before it; `asked`,
    `connected_at` and `refusals` (moment, seconds to wait) what the exchange saw, by the loop's clock; `said` the
    reports (the loop's seconds, event, fields). `makers` make a fresh indicator by its name.
    """

    now: float
    series: list[Series]
    rows: dict[Series, list[Candle]]
    hidden: dict[Series, list[Candle]]
    coverage: dict[Series, Intervals]
    values: dict[Series, list[IndicatorValue]] = msgspec.field(default_factory=dict)
    log: list[Event]
    written: list[tuple[float, Batch]] = msgspec.field(default_factory=list)
    published: list[tuple[int, Event]] = msgspec.field(default_factory=list)
    asked: list[float] = msgspec.field(default_factory=list)
    connected_at: list[float] = msgspec.field(default_factory=list)
    refusals: list[tuple[float, float]] = msgspec.field(default_factory=list)
    most_open: int = 0
    rate: float = 10.0
    said: list[tuple[float, str, Mapping[str, Any]]] = msgspec.field(default_factory=list)
    makers: dict[str, Callable[[], Indicator]] = msgspec.field(default_factory=dict)


async def look(store: CandleStore, series: Sequence[Series], **more: Any) -> Evidence:
    """The evidence of what a store holds of `series`; `more` is what else is known of the run."""
    log: list[Event] = []
    cursor = ""
    while page := await store.events(cursor, 10_000):
        log += [event for _, event in page]
        cursor = page[-1][0]
    return Evidence(
        series=list(series),
        rows={each: await store.candles(each) for each in series},
        hidden={each: await store.hidden(each, 0, 1 << 40) for each in series},
        coverage={each: await store.coverage(each) for each in series},
        values={each: await store.values(each) for each in series},
        log=log,
        **more,
    )


def check(evidence: Evidence, truth: Truth) -> list[Violation]:
    """Every violation of every invariant, by id; an empty list is a clean run."""
    found = [Violation("S1", what) for what in _true(evidence, truth)]
    for invariant, holds in CHECKS.items():
        found += [Violation(invariant, what) for what in holds(evidence)]
    return found


def compared(evidence: Evidence, truth: Truth) -> int:
    """How many candles of the truth the store was held against."""
    return sum(len(truth(*series[1:], *_settled(evidence, series))) for series in evidence.series)


# ---- the store ----


def _settled(evidence: Evidence, series: Series) -> tuple[int, int]:
    """From the first bucket that is known to the last one that ended SETTLED seconds ago."""
    width = WIDTHS[series.timeframe]
    end = int((evidence.now - SETTLED) // width) * width
    start = evidence.coverage[series].start
    return (end if start is None else start), end


def _true(evidence: Evidence, truth: Truth) -> Iterator[str]:
    for series in evidence.series:
        start, end = _settled(evidence, series)
        if start >= end:
            yield f"{series}: nothing is known"
            continue
        held = {row.time: row for row in evidence.rows[series] if start <= row.time < end}
        expected = {row[0]: row for row in truth(series.symbol, series.timeframe, start, end)}
        for time in sorted(held.keys() | expected.keys()):
            ours, theirs = held.get(time), expected.get(time)
            if ours is None or theirs is None or not same(ours, Candle(*theirs)):
                yield f"{series} {time}: {ours} is {theirs} in truth"


def _no_hole(evidence: Evidence) -> Iterator[str]:
    for series in evidence.series:
        for low, high in evidence.coverage[series].missing(*_settled(evidence, series)):
            yield f"{series}: [{low}, {high}) is unknown"


def _nothing_lost(evidence: Evidence) -> Iterator[str]:
    """Every row that was acknowledged is there, at its revision or a later one."""
    newest = {
        (series, row.time): row.revision
        for held in (evidence.rows, evidence.hidden)
        for series, rows in held.items()
        for row in rows
    }
    for _, change in _changes(evidence):
        for row in change.rows:
            if newest.get((change.series, row.time), -1) < row.revision:
                yield f"{change.series} {row.time}: revision {row.revision} was acknowledged and is gone"


def _unique(evidence: Evidence) -> Iterator[str]:
    for series, rows in evidence.rows.items():
        times = Counter(row.time for row in [*rows, *evidence.hidden[series]])
        yield from (f"{series} {time}: {count} rows" for time, count in times.items() if count > 1)


def _sane(evidence: Evidence) -> Iterator[str]:
    for series, rows in evidence.rows.items():
        for row in rows:
            prices = (row.open, row.high, row.low, row.close, row.volume)
            lies_within = 0.0 < row.low <= min(row.open, row.close) and max(row.open, row.close) <= row.high
            if row.time % WIDTHS[series.timeframe] or not lies_within or not all(map(isfinite, prices)):
                yield f"{series}: {row}"


def _not_early(evidence: Evidence) -> Iterator[str]:
    for moment, change in _changes(evidence):
        for row in change.rows:
            if moment < row.time + WIDTHS[change.series.timeframe]:
                yield f"{change.series} {row.time}: written as closed at {moment:.3f}"


def _monotone(evidence: Evidence) -> Iterator[str]:
    last: dict[tuple[Series, int], Candle] = {}
    for _, change in _changes(evidence):
        for row in change.rows:
            before = last.get((change.series, row.time))
            last[change.series, row.time] = row
            if before is None:
                continue
            if row.revision < before.revision or (row.revision == before.revision and not same(before, row)):
                yield f"{change.series}: {before} became {row}"


def _sums(evidence: Evidence) -> Iterator[str]:
    """A higher candle is what its parts add up to, where all of them are known."""
    timeframes = tuple(sorted({series.timeframe for series in evidence.series}, key=WIDTHS.__getitem__))
    parts = dict(ladder(timeframes))
    for series, rows in evidence.rows.items():
        lower = series._replace(timeframe=parts.get(series.timeframe, ""))
        if lower not in evidence.rows:
            continue
        times = [row.time for row in evidence.rows[lower]]
        for row in rows:
            end = row.time + WIDTHS[series.timeframe]
            if not evidence.coverage[lower].covers(row.time, end):
                continue
            inside = evidence.rows[lower][bisect_right(times, row.time - 1) : bisect_right(times, end - 1)]
            whole = merge(row.time, inside)
            if whole is None or not same(whole, row):
                yield f"{series}: {row}, its parts make {whole}"


# ---- announcements ----


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


def _whole(evidence: Evidence) -> Iterator[str]:
    """A row and its announcement are both there: no transaction was torn."""
    there = {
        (series, row.time) for held in (evidence.rows, evidence.hidden) for series, rows in held.items() for row in rows
    }
    for event in evidence.log:
        if event.kind in (CLOSED, HEALED) and (event.series, event.time) not in there:
            yield f"{event.kind} of {event.series} {event.time}: there is no row"
    yield from _announced(evidence)


def _no_ghost(evidence: Evidence) -> Iterator[str]:
    """An announced candle is the one of its bucket, and was stored as it was announced."""
    stored = {(change.series, row.time, row.revision): row for _, change in _changes(evidence) for row in change.rows}
    for event in evidence.log:
        if event.candle is None:
            continue
        row = stored.get((event.series, event.time, event.revision))
        is_written = row is not None or not evidence.written
        if event.candle.time != event.time or not is_written or (row is not None and not same(row, event.candle)):
            yield f"{event.kind} of {event.series} {event.time} says {event.candle}, stored was {row}"


# ---- indicators ----


def _right_values(evidence: Evidence) -> Iterator[str]:
    """There is a latest value, and it is the one of a fresh computation over what is held without a hole."""
    for series in evidence.series:
        intervals = list(evidence.coverage[series])
        values = {value.indicator: value for value in evidence.values.get(series, ())}
        for name, make in evidence.makers.items():
            value = values.get(name)
            at = intervals[-1] if value is None and intervals else (0, 0)
            if value is not None:
                at = next(((low, high) for low, high in intervals if low <= value.time < high), (0, 0))
            host = SeriesHost(name, make)
            fresh = {row.time: host.commit(row) for row in evidence.rows[series] if at[0] <= row.time < at[1]}
            latest = max(fresh, default=0)
            is_due = bool(latest) and latest + WIDTHS[series.timeframe] + SETTLED < evidence.now
            if value is None:
                if is_due:
                    yield f"{series} {name}: no value, the latest candle is of {latest}"
            elif value.time not in fresh:
                yield f"{series} {name}: a value at {value.time}, where no candle is"
            elif value.settled and fresh[value.time].settled and not _alike(value, fresh[value.time]):
                yield f"{series} {name} {value.time}: {value.outputs}, anew {fresh[value.time].outputs}"
            elif value.time < latest and is_due:
                yield f"{series} {name}: the latest value is of {value.time}, the latest candle {latest}"


def _alike(one: IndicatorValue, other: IndicatorValue) -> bool:
    """Two decimals of MACD-V: a restart begins at another place of history, whose trace has settled.

    A count since some change may have begun at that place, and a word may turn where two numbers nearly meet.
    """
    return one.outputs.keys() == other.outputs.keys() and all(
        (mine is None) == (theirs is None)
        and (not isinstance(mine, float) or isclose(mine, float(theirs or 0.0), rel_tol=RELATIVE_ERROR, abs_tol=0.02))
        for mine, theirs in zip(one.outputs.values(), other.outputs.values(), strict=True)
    )


def _enough_history(evidence: Evidence) -> Iterator[str]:
    for event in evidence.log:
        value = event.value
        if value is not None and value.have < value.need and None not in value.outputs.values():
            yield f"{event.series} {value.time}: a full value after {value.have} of {value.need} candles"


def _finite(evidence: Evidence) -> Iterator[str]:
    for event in evidence.log:
        for name, number in (event.value.outputs if event.value else {}).items():
            if isinstance(number, float) and not isfinite(number):
                yield f"{event.series} {event.time}: {name} is {number}"


# ---- conduct ----


def _rate(evidence: Evidence) -> Iterator[str]:
    """No second sees more requests than the rate, and none comes before the exchange asked for it."""
    asked = sorted(evidence.asked)
    for position, moment in enumerate(asked):
        within = bisect_right(asked, moment + 1.0 - 1e-9) - position
        if within > evidence.rate + 1:
            yield f"{within} requests in the second from {moment:.3f}"
    for refused, after in evidence.refusals:
        early = [moment for moment in asked if refused < moment < refused + after - 1e-6]
        # What was in flight when the refusal came is no answer to it.
        if len(early) > 1:
            yield f"{len(early)} requests within {after:.1f} s of a refusal at {refused:.3f}"


def _no_storm(evidence: Evidence) -> Iterator[str]:
    moments = sorted(evidence.connected_at)
    for position, moment in enumerate(moments):
        within = bisect_right(moments, moment + 3600.0) - position
        if within > CONNECTIONS_PER_HOUR:
            yield f"{within} connections in the hour from {moment:.0f}"
            return


def _one_connection(evidence: Evidence) -> Iterator[str]:
    if evidence.most_open > 1:
        yield f"{evidence.most_open} feeds were open at once"


def _few_lines(evidence: Evidence) -> Iterator[str]:
    lines = Counter((event, int(moment // 60)) for moment, event, _ in evidence.said if event not in _PER_CANDLE)
    for (event, _), count in lines.items():
        if count > LINES_PER_MINUTE:
            yield f"{count} lines of {event} in one minute"


# Progress is paced by itself, and a gap is said once for each series that has it.
_PER_CANDLE = frozenset({"backfill.progress", "gap.opened", "gap.healed"})


def _changes(evidence: Evidence) -> Iterator[tuple[float, SeriesChange]]:
    for moment, batch in evidence.written:
        for change in batch.changes:
            yield moment, change


def _key(event: Event) -> tuple[object, ...]:
    indicator = event.value.indicator if event.value is not None else ""
    return (*event.series, event.time, event.revision, event.kind, indicator)


CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "S2": _no_hole,
    "S3": _nothing_lost,
    "S4": _unique,
    "S5": _sane,
    "S6": _not_early,
    "S7": _monotone,
    "S8": _whole,
    "S9": _sums,
    "E1": _announced,
    "E2": _in_order,
    "E3": _no_repeats,
    "E4": _durable,
    "E5": _no_ghost,
    "I2": _right_values,
    "I3": _enough_history,
    "I5": _finite,
    "X1": _rate,
    "X2": _no_storm,
    "X4": _one_connection,
    "L3": _few_lines,
}
