"""What must hold of the indicator values of a run: those of a reference on what is stored, and of nothing else."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import isclose, isfinite
from typing import Any

from livermore_core.indicators.host import HORIZON
from livermore_core.market.events import IndicatorValue
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.testing.evidence import SETTLED, Evidence, Reference

# Of a number, or of a point where it is next to nothing.
ERROR = 1e-9


def _complete_input(evidence: Evidence) -> Iterator[str]:
    """No value was announced over what was unknown when it was."""
    known: dict[Series, Intervals] = defaultdict(Intervals)
    for _, batch in evidence.written:
        for change in batch.changes:
            for interval in change.uncovered:
                known[change.series].remove(*interval)
            for interval in change.covered:
                known[change.series].add(*interval)
        for event in batch.events:
            value = event.value
            if value is not None and any(output is not None for output in value.outputs.values()):
                end = value.time + WIDTHS[event.timeframe]
                if not known[event.series].covers(value.since, end):
                    holes = known[event.series].missing(value.since, end)
                    yield f"{event.series} {value.indicator} {value.time}: made from {value.since} on, over {holes[:3]}"


def _right_values(evidence: Evidence) -> Iterator[str]:
    """There is a latest value, of the latest candle, and it is what the reference says."""
    for series in evidence.series:
        values = {value.indicator: value for value in evidence.values.get(series, ())}
        rows = evidence.rows[series]
        is_due = bool(rows) and rows[-1].time + WIDTHS[series.timeframe] + SETTLED < evidence.now
        for name, reference in evidence.references.items():
            value = values.get(name)
            if value is None:
                if is_due:
                    yield f"{series} {name}: no value, the latest candle is of {rows[-1].time}"
                continue
            if is_due and value.time < rows[-1].time:
                yield f"{series} {name}: the latest value is of {value.time}, the latest candle {rows[-1].time}"
            yield from _differences(evidence, series, [value], reference)


def _follow_revisions(evidence: Evidence) -> Iterator[str]:
    """The last word about each of the newest values is what the reference says of the candles as they are now."""
    words: dict[tuple[Series, str], dict[int, IndicatorValue]] = defaultdict(dict)
    for event in evidence.log:
        if event.value is not None and event.value.indicator in evidence.references:
            words[event.series, event.value.indicator][event.time] = event.value
    for (series, name), values in words.items():
        newest = [values[row.time] for row in evidence.rows.get(series, [])[-HORIZON:] if row.time in values]
        yield from _differences(evidence, series, newest, evidence.references[name])


def _differences(
    evidence: Evidence, series: Series, values: Sequence[IndicatorValue], reference: Reference
) -> Iterator[str]:
    """Where values are not what the reference makes of the stored candles from the same start."""
    rows = evidence.rows[series]
    times = [row.time for row in rows]
    for since in sorted({value.since for value in values}):
        if evidence.trimmed and since < (evidence.coverage[series].start or 0):
            continue  # what it was made of is gone
        last = max(value.time for value in values if value.since == since)
        inside = rows[bisect_left(times, since) : bisect_left(times, last + 1)]
        if not evidence.coverage[series].covers(since, last + WIDTHS[series.timeframe]):
            yield f"{series}: a value of {last} is made from {since} on, over what is not known"
        right = dict(zip((row.time for row in inside), reference(inside), strict=True))
        for value in values:
            if value.since != since:
                continue
            if value.time not in right:
                yield f"{series} {value.indicator}: a value at {value.time}, where no candle is"
            elif not _alike(value.outputs, right[value.time]):
                yield f"{series} {value.indicator} {value.time}: {value.outputs}, by the reference {right[value.time]}"


def _alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return ours.keys() == theirs.keys() and all(
        isclose(mine, other, rel_tol=ERROR, abs_tol=ERROR)
        if isinstance(mine, float) and isinstance(other, float)
        else mine == other
        for mine, other in zip(ours.values(), (theirs[name] for name in ours), strict=True)
    )


def _enough_history(evidence: Evidence) -> Iterator[str]:
    for series, value in _all_values(evidence):
        if value.have < value.need and None not in value.outputs.values():
            yield f"{series} {value.time}: a full value after {value.have} of {value.need} candles"


def _finite(evidence: Evidence) -> Iterator[str]:
    for series, value in _all_values(evidence):
        for name, number in value.outputs.items():
            if isinstance(number, float) and not isfinite(number):
                yield f"{series} {value.time}: {name} is {number}"


def _all_values(evidence: Evidence) -> Iterator[tuple[Series, IndicatorValue]]:
    """What is stored and what was announced."""
    stored = ((series, value) for series, values in evidence.values.items() for value in values)
    return chain(stored, ((event.series, event.value) for event in evidence.log if event.value is not None))


VALUE_CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "I1": _complete_input,
    "I2": _right_values,
    "I3": _enough_history,
    "I4": _follow_revisions,
    "I5": _finite,
}
