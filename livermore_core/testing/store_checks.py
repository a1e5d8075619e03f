"""What must hold of the candles and the coverage that a run left in its store, and of how they came there."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import isfinite

from livermore_core.market.candle import Candle, merge, same
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, ladder
from livermore_core.testing.evidence import Evidence, Truth, changes, settled


def true_candles(evidence: Evidence, truth: Truth) -> Iterator[str]:
    for series in evidence.series:
        start, end = settled(evidence, series)
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
        for low, high in evidence.coverage[series].missing(*settled(evidence, series)):
            yield f"{series}: [{low}, {high}) is unknown"


def _nothing_lost(evidence: Evidence) -> Iterator[str]:
    """Every row that was acknowledged is there, at its revision or a later one."""
    newest = {
        (series, row.time): row.revision
        for held in (evidence.rows, evidence.hidden)
        for series, rows in held.items()
        for row in rows
    }
    for _, change in changes(evidence):
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
    for moment, change in changes(evidence):
        for row in change.rows:
            if moment < row.time + WIDTHS[change.series.timeframe]:
                yield f"{change.series} {row.time}: written as closed at {moment:.3f}"


def _monotone(evidence: Evidence) -> Iterator[str]:
    last: dict[tuple[Series, int], Candle] = {}
    for _, change in changes(evidence):
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


STORE_CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "S2": _no_hole,
    "S3": _nothing_lost,
    "S4": _unique,
    "S5": _sane,
    "S6": _not_early,
    "S7": _monotone,
    "S9": _sums,
}
