"""Copies one store into another, by the store protocol alone; what is there already is proven to be the same, and left.

Every transaction leaves the target true: it covers what was copied, and values come last, over whole history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence

import msgspec

from livermore_core.errors import ConfigurationError, CursorExpiredError
from livermore_core.market.candle import Candle, same
from livermore_core.market.events import Event, IndicatorValue
from livermore_core.market.intervals import Interval
from livermore_core.market.series import Series
from livermore_core.market.timeframe import iso
from livermore_core.store.protocol import Batch, CandleStore, SeriesChange

ROWS_AT_ONCE = EVENTS_AT_ONCE = 2000
READ_AT_ONCE = 5000
# Beyond every candle: the year 36812.
END = 1 << 40

Logged = tuple[str, Event]


class Copied(msgspec.Struct):
    """What was written; what the target had already is not counted."""

    candles: int = 0
    hidden: int = 0
    events: int = 0
    values: int = 0


class Copying:
    """One copy, of so many `series`, up to `head`.

    `cursors` maps those of the source that are `wanted` to the target's, as far as the source's log reaches back.
    `advance` is told how many "candles" were looked at, and how many "events" written.
    """

    def __init__(
        self,
        source: CandleStore,
        target: CandleStore,
        wanted: Collection[str] = (),
        advance: Callable[[str, int], None] = lambda what, number: None,
    ) -> None:
        self.source, self.target = source, target
        self.cursors: dict[str, str] = {}
        self.copied = Copied()
        self.series, self.head = 0, ""
        self._wanted = set(wanted)
        self._advance = advance
        # The last event of the source that the target has.
        self._reached = ""

    async def run(self) -> list[str]:
        """Copy what the target lacks; what is unlike afterwards, a line each.

        Raises ConfigurationError, before anything is written, where the target holds what the source does not.
        """
        series = await self.source.series()
        self.series, self.head = len(series), await self.source.head()
        values = {each: await self.source.values(each) for each in series}
        self._wanted |= {self.head, *(value.cursor for held in values.values() for value in held)} - {""}
        await self._admit(series)
        for each in series:
            await self._copy_rows(each)
        await self._copy_log()
        translated = {each: [self._translated(value) for value in held] for each, held in values.items()}
        for each, held in translated.items():
            await self._copy_values(each, held)
        return [line for each in series for line in await self._differences(each, translated[each])]

    # ---- whether the target is empty, or a copy in the making ----

    async def _admit(self, series: Sequence[Series]) -> None:
        for each in await self.target.series():
            if each not in series and (await self.target.coverage(each) or await self.target.count(each, 0, END)):
                raise _other(str(each))
            await self._admit_rows(each)
        await self._admit_log()

    async def _admit_rows(self, series: Series) -> None:
        async for start, end, rows in _pages(self.target, series):
            held = [*rows, *await self.target.hidden(series, start, end)]
            known = {row.time: row for row in await self.source.candles(series, since=start, until=end)}
            known |= {row.time: row for row in await self.source.hidden(series, start, end)}
            for row in held:
                if not _follows(row, known.get(row.time)):
                    raise _other(f"a candle of {series} at {iso(row.time)}")

    async def _admit_log(self) -> None:
        """The target's log must be a run of the source's; of what its beginning no longer keeps nothing is asked."""
        before, origin = await _origin(self.source), await _origin(self.target)
        theirs = _logged(self.target)
        expected = await anext(theirs, None)
        if expected is None:
            self._note(before, origin)
            return
        async for cursor, event in _logged(self.source):
            if event == expected[1]:
                if not self._reached:
                    self._note(before, origin)
                self._note(cursor, expected[0])
                self._reached = cursor
                expected = await anext(theirs, None)
                if expected is None:
                    return
            elif self._reached:
                break
            before = cursor
        raise _other(f"its log has a {expected[1].kind} of {expected[1].series} at {iso(expected[1].time)}")

    # ---- rows and coverage ----

    async def _copy_rows(self, series: Series) -> None:
        coverage = await self.source.coverage(series)
        already = await self.target.coverage(series)
        async for start, end, rows in _pages(self.source, series):
            self._advance("candles", len(rows))
            hidden = await self.source.hidden(series, start, end)
            covered = coverage.within(start, end)
            if (
                covered == already.within(start, end)
                and rows == await self.target.candles(series, since=start, until=end)
                and hidden == await self.target.hidden(series, start, end)
            ):
                continue
            await self._write(series, (start, end), rows, hidden, covered)

    async def _write(
        self,
        series: Series,
        page: Interval,
        rows: Sequence[Candle],
        hidden: Sequence[Candle],
        covered: Sequence[Interval],
    ) -> None:
        change = SeriesChange(series=series, rows=rows, hidden=hidden, uncovered=[page], covered=covered)
        await self.target.transact(Batch(changes=[change]))
        self.copied.candles += len(rows)
        self.copied.hidden += len(hidden)

    # ---- the log ----

    async def _copy_log(self) -> None:
        batch: list[Logged] = []
        async for cursor, event in _logged(self.source, self._reached):
            batch.append((cursor, event))
            # Where a batch ends is where the target's cursor is known.
            if len(batch) == EVENTS_AT_ONCE or cursor in self._wanted:
                await self._append(batch)
                batch = []
        if batch:
            await self._append(batch)

    async def _append(self, batch: Sequence[Logged]) -> None:
        cursor = await self.target.transact(Batch(events=[event for _, event in batch]))
        self._note(batch[-1][0], cursor)
        self.copied.events += len(batch)
        self._advance("events", len(batch))

    def _note(self, cursor: str, translated: str) -> None:
        if cursor in self._wanted:
            self.cursors[cursor] = translated

    # ---- values ----

    def _translated(self, value: IndicatorValue) -> IndicatorValue:
        """A value whose cursor the log has forgotten has none: here as there its state does not hold."""
        return msgspec.structs.replace(value, cursor=self.cursors.get(value.cursor, ""))

    async def _copy_values(self, series: Series, values: Sequence[IndicatorValue]) -> None:
        held = await self.target.values(series)
        lacking = [value for value in values if value not in held]
        if lacking:
            await self.target.transact(Batch(changes=[SeriesChange(series=series, values=lacking)]))
            self.copied.values += len(lacking)

    # ---- afterwards ----

    async def _differences(self, series: Series, values: Sequence[IndicatorValue]) -> list[str]:
        source, target = self.source, self.target
        found = []
        ours, theirs = await target.count(series, 0, END), await source.count(series, 0, END)
        if ours != theirs:
            found.append(f"{series}: {ours} candles, the source has {theirs}")
        if await target.hidden(series, 0, END) != await source.hidden(series, 0, END):
            found.append(f"{series}: other hidden candles than the source's")
        if await target.coverage(series) != await source.coverage(series):
            found.append(f"{series}: another coverage than the source's")
        if await target.values(series) != values:
            found.append(f"{series}: other indicator values than the source's")
        return found


async def _pages(store: CandleStore, series: Series) -> AsyncIterator[tuple[int, int, list[Candle]]]:
    """All of time in pages of so many present rows, newest first: start, end and the rows between."""
    end = END
    while end > 0:
        rows = await store.candles(series, last=ROWS_AT_ONCE, until=end)
        start = rows[0].time if len(rows) == ROWS_AT_ONCE else 0
        yield start, end, rows
        end = start


async def _logged(store: CandleStore, cursor: str = "") -> AsyncIterator[Logged]:
    while page := await store.events(cursor, READ_AT_ONCE):
        for cursor, event in page:
            yield cursor, event


async def _origin(store: CandleStore) -> str:
    """The cursor before the oldest event that is kept."""
    try:
        await store.events("of no log", 1)
    except CursorExpiredError as error:
        return error.oldest
    raise AssertionError("a cursor of no log was taken")


def _follows(held: Candle, row: Candle | None) -> bool:
    """Whether the source's row is what the target holds, or came of it later."""
    return row is not None and (row.revision > held.revision or (row.revision == held.revision and same(row, held)))


def _other(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the target holds what the source does not: {what}; name an empty store, or a copy of this"
    )
