"""What a run left behind, gathered to be held against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from livermore_core.market.candle import Candle
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.store.protocol import Batch, CandleStore, SeriesChange
from livermore_core.testing.faults import Fault

# A bucket that ended so many seconds ago is settled.
SETTLED = 120
MOST_LOOKS = 100

Row = tuple[int, float, float, float, float, float]
Truth = Callable[[str, str, int, int], Sequence[Row]]
# The outputs of an indicator after each of these candles, of which the first is the first it ever sees.
Reference = Callable[[Sequence[Candle]], Sequence[Mapping[str, Any]]]


class Evidence(msgspec.Struct, kw_only=True):
    """What a run left behind.

    `now` is the exchange's clock at the end. `rows`, `hidden`, `coverage`, `values` and `log` are what the store holds;
    `written` the acknowledged batches with the exchange's moment, `published` the announcements, each with how many
    batches had been acknowledged before it; `trimmed`: old candles went by retention.

    `asked`, `connected_at` and `refusals` (moment, seconds to wait) are what the exchange saw, by the loop's clock;
    `said` the reports (the loop's seconds, event, fields), "stopping" where a process ended. `faults` were injected
    (None: not known), `felt` are the moments and kinds of those that somebody must have noticed; `shown` is what the
    status said: moment, state, and reasons by what they are about. `references` tell by an indicator's name what it
    should say.
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
    trimmed: bool = False
    references: dict[str, Reference] = msgspec.field(default_factory=dict)
    faults: list[Fault] | None = None
    felt: list[tuple[float, str]] = msgspec.field(default_factory=list)
    shown: list[tuple[float, str, Mapping[str, str]]] = msgspec.field(default_factory=list)


async def look(store: CandleStore, series: Sequence[Series], **more: Any) -> Evidence:
    """The evidence of what a store holds of `series`; `more` is what else is known of the run.

    Somebody may be writing: what was read while nothing was announced is of one moment.
    """
    log: list[Event] = []
    cursor = ""
    for _ in range(MOST_LOOKS):
        while page := await store.events(cursor, 10_000):
            log += [event for _, event in page]
            cursor = page[-1][0]
        evidence = Evidence(
            series=list(series),
            rows={each: await store.candles(each) for each in series},
            hidden={each: await store.hidden(each, 0, 1 << 40) for each in series},
            coverage={each: await store.coverage(each) for each in series},
            values={each: await store.values(each) for each in series},
            log=log,
            **more,
        )
        if not await store.events(cursor, 1):
            break
    return evidence


def settled(evidence: Evidence, series: Series) -> tuple[int, int]:
    """From the first bucket that is known to the last one that ended SETTLED seconds ago."""
    width = WIDTHS[series.timeframe]
    end = int((evidence.now - SETTLED) // width) * width
    start = evidence.coverage[series].start
    return (end if start is None else start), end


def changes(evidence: Evidence) -> Iterator[tuple[float, SeriesChange]]:
    """Each change of a series that was acknowledged, with the exchange's moment."""
    for moment, batch in evidence.written:
        for change in batch.changes:
            yield moment, change
