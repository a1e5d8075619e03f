"""The checks can fail: evidence of what must not be is noticed, by its id."""

from __future__ import annotations

from typing import Any

import pytest
from livermore_indicators import MacdV
from msgspec import structs

from livermore_core import Batch, Candle, Event, IndicatorValue, Intervals, Series, SeriesChange, SeriesHost
from livermore_core.testing import Evidence, check

SERIES = Series("memory", "AAA-USD", "1m")
ROWS = [Candle(60 * n, 10.0, 12.0, 9.0, 10.0 + n % 7 / 10, 1.0) for n in range(1, 401)]
END = ROWS[-1].time + 60


def closed(row: Candle) -> Event:
    return Event(kind="candle.closed", exchange="memory", symbol="AAA-USD", timeframe="1m", time=row.time, candle=row)


def value() -> IndicatorValue:
    host = SeriesHost("macd-v", MacdV)
    return [host.commit(row) for row in ROWS][-1]


def violated(**other: Any) -> set[str]:
    """The ids of what does not hold in a clean run of one series, but for `other`."""
    events = [closed(row) for row in ROWS]
    batches = [
        (row.time + 62.0, Batch(changes=[SeriesChange(series=SERIES, rows=[row])], events=[event]))
        for row, event in zip(ROWS, events, strict=True)
    ]
    clean: dict[str, Any] = {
        "now": END + 1000.0,
        "series": [SERIES],
        "rows": {SERIES: ROWS},
        "hidden": {SERIES: []},
        "coverage": {SERIES: Intervals([(60, END + 1000)])},
        "values": {SERIES: [value()]},
        "log": events,
        "written": batches,
        "published": [(number, event) for number, event in enumerate(events, start=1)],
        "makers": {"macd-v": MacdV},
    }
    truth = [(row.time, row.open, row.high, row.low, row.close, row.volume) for row in ROWS]
    evidence = Evidence(**clean | other)
    return {each.invariant for each in check(evidence, lambda symbol, timeframe, start, end: truth)}


def test_a_clean_run_violates_nothing() -> None:
    assert violated() == set()


def other_outputs(**outputs: Any) -> dict[Series, list[IndicatorValue]]:
    found = value()
    return {SERIES: [structs.replace(found, outputs=found.outputs | outputs)]}


@pytest.mark.parametrize(
    ("invariant", "other"),
    [
        ("S1", {"rows": {SERIES: ROWS[:-1]}}),
        ("S2", {"coverage": {SERIES: Intervals([(60, 600), (660, END + 1000)])}}),
        ("S3", {"rows": {SERIES: ROWS[1:]}}),
        ("S4", {"hidden": {SERIES: ROWS[:1]}}),
        ("S6", {"written": [(ROWS[0].time + 1.0, Batch(changes=[SeriesChange(series=SERIES, rows=ROWS[:1])]))]}),
        ("S8", {"log": [closed(row) for row in ROWS[1:]]}),
        ("E1", {"log": [closed(row) for row in ROWS[1:]]}),
        ("E2", {"log": [closed(row) for row in (*ROWS[1:], ROWS[0])]}),
        ("E3", {"published": [(400, closed(ROWS[0])), (400, closed(ROWS[0]))]}),
        ("E4", {"published": [(0, closed(ROWS[0]))]}),
        ("E5", {"log": [*map(closed, ROWS[1:]), structs.replace(closed(ROWS[0]), candle=ROWS[1])]}),
        ("I2", {"values": {SERIES: []}}),
        ("I2", {"values": other_outputs(macd_v=None)}),
        ("I2", {"values": other_outputs(macd_v=77.0)}),
        ("X1", {"asked": [1.0 + n / 100 for n in range(20)]}),
        ("X2", {"connected_at": [float(n) for n in range(200)]}),
        ("X4", {"most_open": 2}),
        ("L3", {"said": [(n / 10, "feed.lost", {}) for n in range(100)]}),
    ],
)
def test_what_must_not_be_is_noticed(invariant: str, other: dict[str, Any]) -> None:
    assert invariant in violated(**other)
