"""The checks can fail: evidence of what must not be is noticed, by its id."""

from __future__ import annotations

from typing import Any

import pytest
from livermore_indicators import MacdV
from msgspec import structs
from slow_macd_v import slow_macd_v

from livermore_core import Batch, Candle, Event, IndicatorValue, Intervals, Series, SeriesChange, SeriesHost
from livermore_core.testing import Evidence, Fault, MemoryStore, check, look

SERIES = Series("memory", "AAA-USD", "1m")
ROWS = [Candle(60 * n, 10.0, 12.0, 9.0, 10.0 + n % 7 / 10, 1.0) for n in range(1, 401)]
END = ROWS[-1].time + 60


def closed(row: Candle) -> Event:
    return Event(kind="candle.closed", exchange="memory", symbol="AAA-USD", timeframe="1m", time=row.time, candle=row)


def values() -> list[IndicatorValue]:
    host = SeriesHost("macd-v", MacdV)
    return [host.commit(row) for row in ROWS]


def value() -> IndicatorValue:
    return values()[-1]


def announced(found: IndicatorValue) -> Event:
    about = {"exchange": "memory", "symbol": "AAA-USD", "timeframe": "1m"}
    return Event(kind="indicator.value", time=found.time, value=found, **about)  # type: ignore[arg-type]


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
        "references": {"macd-v": slow_macd_v},
    }
    truth = [(row.time, row.open, row.high, row.low, row.close, row.volume) for row in ROWS]
    evidence = Evidence(**clean | other)
    return {each.invariant for each in check(evidence, lambda symbol, timeframe, start, end: truth)}


def test_a_clean_run_violates_nothing() -> None:
    assert violated() == set()


async def test_what_is_written_while_the_evidence_is_gathered_is_seen_whole_or_not_at_all() -> None:
    class Busy(MemoryStore):
        is_written = False

        async def coverage(self, series: Series) -> Intervals:
            found = await super().coverage(series)
            if not self.is_written:
                self.is_written = True
                await self.transact(transaction(ROWS[0], events=(closed(ROWS[0]),))[1])
            return found

        async def candles(self, series: Series, **asked: Any) -> list[Candle]:
            await self.coverage(series)
            return await super().candles(series, **asked)

    evidence = await look(Busy(), [SERIES], now=END)
    assert [row.time for row in evidence.rows[SERIES]] == [event.time for event in evidence.log] == [ROWS[0].time]


def forged(row: Candle, **fields: Any) -> Candle:
    """A candle that a store may hold, but that nothing in livermore would make."""
    copy = structs.replace(row)
    for name, number in fields.items():
        structs.force_setattr(copy, name, number)
    return copy


def transaction(*rows: Candle, events: tuple[Event, ...] = ()) -> tuple[float, Batch]:
    return END + 62.0, Batch(changes=[SeriesChange(series=SERIES, rows=list(rows))], events=list(events))


def other_outputs(**outputs: Any) -> dict[Series, list[IndicatorValue]]:
    found = value()
    return {SERIES: [structs.replace(found, outputs=found.outputs | outputs)]}


HOLE = SeriesChange(series=SERIES, covered=[(60, 600), (660, END)])
FIVE = SERIES._replace(timeframe="5m")
BOTH = {SERIES: Intervals([(60, END + 1000)]), FIVE: Intervals([(300, END + 1000)])}
# A candle that was revised, and no value followed.
REVISED = [*ROWS[:-9], structs.replace(ROWS[-9], high=13.0, revision=1), *ROWS[-8:]]
SUM = {"series": [SERIES, FIVE], "hidden": {SERIES: [], FIVE: []}}
FAULT = Fault(at=1.0, kind="ws.close")
LOST, STEADY = {"reason": "ws.closed", "seconds": 0.0}, {"reason": "ws.closed", "seconds": 20.0}
THROTTLED, AT_PACE = {"reason": "rest.rate_limited"}, {"reason": "rest.rate_limited", "seconds": 7.0}


def test_a_fault_that_is_said_when_it_begins_and_ends_violates_nothing_H4() -> None:
    said = [(5.0, "feed.lost", LOST), (65.0, "feed.lost", LOST), (140.0, "feed.steady", STEADY)]
    shown = [(moment, "DEGRADED", {"memory.feed": "ws.closed"}) for moment in (3.0, 8.0, 13.0)]
    felt = [(4.0, "ws.close"), (30.0, "ws.close")]
    assert violated(faults=[FAULT], felt=felt, said=said, shown=shown) == set()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"faults": [], "said": [(5.0, "symbol.unknown", {})]}, id="without a fault"),
        pytest.param({"felt": [(5.0, "ws.close")]}, id="never said"),
        pytest.param({"felt": [(5.0, "ws.close")], "said": [(16.0, "feed.lost", LOST)]}, id="too late"),
        pytest.param({"said": [(5.0, "feed.lost", LOST), (9.0, "feed.lost", LOST)]}, id="twice"),
        pytest.param({"said": [(5.0, "feed.lost", LOST), (900.0, "ready", {})]}, id="no end"),
        pytest.param({"said": [(5.0, "feed.steady", STEADY)]}, id="no beginning"),
        pytest.param({"said": [(5.0, "feed.lost", LOST), (9.0, "feed.steady", STEADY)]}, id="longer than it was"),
        pytest.param({"said": [(5.0, "feed.lost", LOST), (9.0, "feed.steady", {"reason": "x"})]}, id="no duration"),
        pytest.param({"said": [(5.0, "feed.lost", {}), (90.0, "feed.steady", STEADY)]}, id="no reason"),
        pytest.param(
            {
                "said": [(5.0, "feed.lost", LOST), (90.0, "feed.steady", STEADY)],
                "shown": [(moment, "LIVE", {}) for moment in (8.0, 13.0, 18.0, 23.0)],
            },
            id="feed not in status",
        ),
        pytest.param(
            {
                "said": [(5.0, "exchange.rate_limited", THROTTLED), (72.0, "exchange.at_pace", AT_PACE)],
                "shown": [(10.0, "DEGRADED", {"memory.pace": "rest.rate_limited"}), (15.0, "LIVE", {})],
            },
            id="not in status to the end",
        ),
        pytest.param(
            {
                "said": [(5.0, "exchange.rate_limited", THROTTLED), (72.0, "exchange.at_pace", AT_PACE)],
                "shown": [(10.0, "DEGRADED", {"memory.pace": "rest.throttled"})],
            },
            id="another code in status",
        ),
    ],
)
def test_a_fault_without_a_voice_is_noticed_H4(other: dict[str, Any]) -> None:
    assert violated(**{"faults": [FAULT], **other}) == {"H4"}


@pytest.mark.parametrize(
    ("invariant", "other"),
    [
        ("S1", {"rows": {SERIES: ROWS[:-1]}}),
        ("S2", {"coverage": {SERIES: Intervals([(60, 600), (660, END + 1000)])}}),
        ("S3", {"rows": {SERIES: ROWS[1:]}}),
        ("S4", {"hidden": {SERIES: ROWS[:1]}}),
        ("S5", {"rows": {SERIES: [forged(ROWS[0], time=61), *ROWS[1:]]}}),
        ("S5", {"rows": {SERIES: [forged(ROWS[0], low=11.0), *ROWS[1:]]}}),
        ("S5", {"rows": {SERIES: [forged(ROWS[0], high=float("inf")), *ROWS[1:]]}}),
        ("S5", {"rows": {SERIES: [forged(ROWS[0], low=-1.0), *ROWS[1:]]}}),
        ("S6", {"written": [(ROWS[0].time + 1.0, Batch(changes=[SeriesChange(series=SERIES, rows=ROWS[:1])]))]}),
        ("S7", {"written": [transaction(ROWS[0]), transaction(forged(ROWS[0], close=11.0))]}),
        ("S7", {"written": [transaction(ROWS[0].at_revision(2)), transaction(ROWS[0].at_revision(1))]}),
        ("S8", {"written": [transaction(events=(closed(ROWS[0]),)), transaction(ROWS[0])]}),
        ("S8", {"written": [transaction(ROWS[0]), transaction(ROWS[1], events=(closed(ROWS[0]), closed(ROWS[1])))]}),
        ("S8", {"rows": {SERIES: ROWS[1:]}}),
        ("S9", SUM | {"rows": {SERIES: ROWS, FIVE: [Candle(300, 10.0, 12.0, 9.0, 10.0, 5.1)]}, "coverage": BOTH}),
        ("E1", {"log": [closed(row) for row in ROWS[1:]]}),
        ("E2", {"log": [closed(row) for row in (*ROWS[1:], ROWS[0])]}),
        ("E3", {"published": [(400, closed(ROWS[0])), (400, closed(ROWS[0]))]}),
        ("E4", {"published": [(0, closed(ROWS[0]))]}),
        ("E5", {"log": [*map(closed, ROWS[1:]), structs.replace(closed(ROWS[0]), candle=ROWS[1])]}),
        ("E7", {"faults": [], "written": [(END + 20.0, Batch(changes=[], events=[closed(ROWS[-1])]))]}),
        ("E7", {"faults": [], "written": [(END + 6.0, Batch(changes=[], events=[closed(ROWS[-1])]))]}),
        ("I1", {"written": [(END + 62.0, Batch(changes=[HOLE], events=[announced(value())]))]}),
        ("I2", {"values": {SERIES: []}}),
        ("I2", {"values": other_outputs(macd_v=None)}),
        ("I2", {"values": other_outputs(macd_v=77.0)}),
        ("I2", {"values": other_outputs(macd_v=value().outputs["macd_v"] * (1.0 + 1e-8))}),
        ("I2", {"values": other_outputs(bars_in_stage=77)}),
        ("I2", {"values": {SERIES: values()[-2:-1]}}),
        ("I2", {"values": {SERIES: [structs.replace(value(), since=ROWS[1].time)]}}),
        ("I2", {"coverage": {SERIES: Intervals([(60, 600), (660, END + 1000)])}}),
        ("I3", {"log": [announced(structs.replace(value(), have=33))]}),
        ("I3", {"values": {SERIES: [structs.replace(value(), have=33)]}}),
        ("I4", {"log": [announced(structs.replace(value(), outputs=values()[-2].outputs))]}),
        ("I4", {"log": [announced(each) for each in values()], "rows": {SERIES: REVISED}}),
        ("I5", {"log": [announced(structs.replace(value(), outputs={"macd_v": float("nan")}))]}),
        ("I5", {"values": other_outputs(signal=float("inf"))}),
        ("X1", {"asked": [1.0 + n / 100 for n in range(20)]}),
        ("X2", {"connected_at": [float(n) for n in range(200)]}),
        ("X4", {"most_open": 2}),
        ("L2", {"said": [(1.0, "stage.completed", {"seconds": float("nan")})]}),
        ("L2", {"said": [(1.0, "symbol.unknown", {"cause": OSError("gone")})]}),
        ("L3", {"said": [(n / 10, "feed.lost", {}) for n in range(100)]}),
    ],
)
def test_what_must_not_be_is_noticed(invariant: str, other: dict[str, Any]) -> None:
    assert invariant in violated(**other)
