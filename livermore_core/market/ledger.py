"""How new knowledge of a series changes it: rows, coverage, revisions and what to announce. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from livermore_core.market.candle import WITHDRAWN, Candle, same
from livermore_core.market.events import BACKFILLED, CLOSED, GAP, HEALED, REVISED, Event
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS


class Ledger:
    """What is known of one series: covered + row = PRESENT; covered, no row = EMPTY; not covered = UNKNOWN.

    `edge` is the end of all that was announced: a live candle at or above it is `closed`, below it `healed`.
    `gaps` are the ranges announced as unknown and not known since.
    """

    __slots__ = ("coverage", "edge", "gaps", "hidden", "series", "width")

    def __init__(self, series: Series, coverage: Intervals, hidden: Mapping[int, Candle]) -> None:
        self.series = series
        self.width = WIDTHS[series.timeframe]
        self.coverage = coverage
        self.hidden = dict(hidden)
        self.edge = coverage.end
        self.gaps = Intervals()

    def unknown(self, start: int, end: int) -> list[Interval]:
        """The parts of [start, end) of which nothing is known."""
        return self.coverage.missing(start, end)

    def event(self, kind: str, time: int, **fields: object) -> Event:
        """An announcement about this series."""
        exchange, symbol, timeframe = self.series
        return Event(kind=kind, exchange=exchange, symbol=symbol, timeframe=timeframe, time=time, **fields)  # type: ignore[arg-type]


class Change:
    """A change of one ledger, worked out before it is written, applied once it is durable."""

    def __init__(self, ledger: Ledger, moment: float) -> None:
        self.ledger = ledger
        self.moment = int(moment)
        self.rows: dict[int, Candle] = {}
        self.hidden: dict[int, Candle] = {}
        self.covered: list[Interval] = []
        self.uncovered: list[Interval] = []
        self.events: list[Event] = []
        self.touched: set[int] = set()
        self.revised: set[int] = set()
        # Native rows that are not what their parts add up to.
        self.unsummed: set[int] = set()
        self.coverage = ledger.coverage.copy()
        self._unhidden: set[int] = set()
        self._announced: dict[int, Event] = {}
        self._gaps = ledger.gaps.copy()

    def learn(self, covered: Iterable[Interval], rows: Sequence[Candle], present: Sequence[Candle], live: bool) -> None:
        """Take in that everything about `covered` is known: `rows`, where `present` is what we held there."""
        known = {row.time: row for row in rows}
        held = {row.time: row for row in present}
        before = {bucket for start, end in covered for bucket in self._covered_buckets(start, end)}
        for start, end in covered:
            if held or before or live or self.ledger.hidden:
                for bucket in range(start, end, self.ledger.width):
                    self._bucket(bucket, known.get(bucket), held.get(bucket), bucket in before, live)
            else:  # history that nobody knew anything of: most of a backfill
                self.rows.update((time, row) for time, row in known.items() if start <= time < end)
            self._cover(start, end, known, live)

    def retract(self, start: int, end: int, present: Sequence[Candle], reason: str) -> None:
        """Take back that anything is known of [start, end): its rows are kept for their revision, shown to nobody."""
        for row in present:
            self.hidden[row.time] = row
            self.touched.add(row.time)
        for low, high in self.coverage.within(start, end):
            self.touched.update(range(low, high, self.ledger.width))
            self.coverage.remove(low, high)
            self.uncovered.append((low, high))
            self.gap(low, high, reason)

    def gap(self, start: int, end: int, reason: str) -> None:
        """Announce that [start, end) is unknown."""
        self._gaps.add(start, end)
        self.events.append(self.ledger.event(GAP, start, until=end, reason=reason, revision=self.moment))

    def apply(self) -> None:
        """The change is durable: make it the ledger's state."""
        ledger = self.ledger
        ledger.coverage = self.coverage
        for bucket in self._unhidden:
            ledger.hidden.pop(bucket, None)
        ledger.hidden.update(self.hidden)
        ledger.gaps = self._gaps
        ends = [end for _, end in self.covered] + [event.until or 0 for event in self.events if event.kind == GAP]
        ledger.edge = max(filter(None, [ledger.edge, *ends]), default=None)

    def __bool__(self) -> bool:
        return bool(self.rows or self.hidden or self.covered or self.uncovered or self.events)

    def _covered_buckets(self, start: int, end: int) -> Iterable[int]:
        for low, high in self.coverage.within(start, end):
            yield from range(low, high, self.ledger.width)

    def _cover(self, start: int, end: int, known: Mapping[int, Candle], live: bool) -> None:
        """Extend the coverage, and say so for a range that was fetched in bulk or had been announced as a gap."""
        new = self.coverage.missing(start, end)
        if not new:
            return
        self.covered.append((start, end))
        self.coverage.add(start, end)
        for low, high in new:
            self.touched.update(range(low, high, self.ledger.width))
            for since, until in self._gaps.within(low, high) if live else [(low, high)]:
                self._say_known(since, until, sum(since <= time < until for time in known))
            self._gaps.remove(low, high)

    def _say_known(self, start: int, end: int, count: int) -> None:
        """Announce a range that is known now; ranges that touch are one announcement."""
        said = self.events[-1] if self.events and self.events[-1].kind == BACKFILLED else None
        if said is not None and said.until == start:
            start, count = said.time, count + (said.count or 0)
            self.events.pop()
        self.events.append(self.ledger.event(BACKFILLED, start, until=end, count=count, revision=self.moment))

    def _bucket(self, time: int, row: Candle | None, held: Candle | None, covered: bool, live: bool) -> None:
        withdrawn = self.ledger.hidden.get(time)
        if held is not None:
            self._compare(held, row)
        elif withdrawn is not None:
            self._restore(time, withdrawn, row, covered)
        elif row is not None:
            if covered:  # EMPTY until now
                self._revise(time, row.at_revision(1))
            else:
                self.rows[time] = row
                if live:
                    kind = CLOSED if self.ledger.edge is None or time >= self.ledger.edge else HEALED
                    self.events.append(self.ledger.event(kind, time, candle=row))

    def _compare(self, held: Candle, row: Candle | None) -> None:
        """A candle is there: keep it, confirm its source, or revise it. `rest` outranks what we built ourselves."""
        if row is None:
            self._withdraw(held)
        elif same(held, row):
            if row.source == "rest" and held.source != "rest":
                self.rows[held.time] = Candle(
                    held.time, held.open, held.high, held.low, held.close, held.volume, held.revision, "rest"
                )
        elif row.source == "rest" or held.source != "rest":
            if row.source == "rest" and held.source == "derived":
                self.unsummed.add(held.time)
            self._revise(held.time, row.at_revision(held.revision + 1))

    def _restore(self, time: int, withdrawn: Candle, row: Candle | None, covered: bool) -> None:
        """A hidden row is there: it comes back, comes back different, or (retracted, REST says EMPTY) is withdrawn."""
        was_told = withdrawn.source != WITHDRAWN
        if row is None:
            if not covered and was_told:
                self._withdraw(withdrawn)
        elif not covered and was_told and same(withdrawn, row):
            self._unhidden.add(time)
            self.rows[time] = row.at_revision(withdrawn.revision)
        else:
            self._unhidden.add(time)
            self._revise(time, row.at_revision(withdrawn.revision + 1))

    def _withdraw(self, held: Candle) -> None:
        revision = self._revision(held.time, held.revision + 1)
        gone = msgspec.structs.replace(held, revision=revision, source=WITHDRAWN)
        self.rows.pop(held.time, None)
        self.hidden[held.time] = gone
        self._announce_revision(held.time, gone.revision, None)

    def _revise(self, time: int, row: Candle) -> None:
        row = row.at_revision(self._revision(time, row.revision))
        self.hidden.pop(time, None)
        self.rows[time] = row
        self._announce_revision(time, row.revision, row)

    def _revision(self, time: int, next_one: int) -> int:
        """The number of a revision: what is written at once is one, however often it is derived meanwhile."""
        return self._announced[time].revision if time in self._announced else next_one

    def _announce_revision(self, time: int, revision: int, candle: Candle | None) -> None:
        self.touched.add(time)
        self.revised.add(time)
        if time in self._announced:
            self.events.remove(self._announced[time])
        self._announced[time] = self.ledger.event(REVISED, time, revision=revision, candle=candle)
        self.events.append(self._announced[time])
