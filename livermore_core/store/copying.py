"""Copies one store into another, by the store protocol alone; what is there already is proven to be the same, and left.

Every transaction leaves the target true: it covers what was copied, and values come last, over whole history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from livermore_core.market.candle import Candle, same
from livermore_core.market.events import IndicatorValue
from livermore_core.market.intervals import Interval
from livermore_core.market.series import Series
from livermore_core.market.timeframe import iso
from livermore_core.store.copying_log import LogCopying, other
from livermore_core.store.protocol import END, Batch, CandleStore, SeriesChange

ROWS_AT_ONCE = 2000


class Copied(msgspec.Struct):
    """What was written; what the target had already is not counted."""

    candles: int = 0
    hidden: int = 0
    events: int = 0
    values: int = 0


class Copying:
    """One copy, of so many `series`, up to `head`.

    `cursors` maps those of the source that are `wanted` to the target's, as far as these can be told: the log reaches
    back to them, and no earlier copy that was cut short has passed them.
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

    async def run(self) -> list[str]:
        """Copy what the target lacks; what is unlike afterwards, a line each.

        Raises ConfigurationError, before anything is written, where the target holds what the source does not.
        """
        series = await self.source.series()
        self.series, self.head = len(series), await self.source.head()
        values = {each: await self.source.values(each) for each in series}
        wanted = {self.head, *self._wanted, *(value.cursor for held in values.values() for value in held)} - {""}
        log = LogCopying(self.source, self.target, wanted, self._advance)
        await self._admit(series)
        await log.admit()
        for each in series:
            await self._copy_rows(each)
        await log.run()
        self.cursors, self.copied.events = log.cursors, log.copied
        for each in series:
            values[each] = await self._copy_values(each, values[each])
        await self._copy_status()
        return [line for each in series for line in await self._differences(each, values[each])]

    # ---- whether the target is empty, or a copy in the making ----

    async def _admit(self, series: Sequence[Series]) -> None:
        for each in await self.target.series():
            if each not in series and (await self.target.coverage(each) or await self.target.count(each, 0, END)):
                raise other(str(each))
            await self._admit_rows(each)

    async def _admit_rows(self, series: Series) -> None:
        async for start, end, rows in _pages(self.target, series):
            held = [*rows, *await self.target.hidden(series, start, end)]
            known = {row.time: row for row in await self.source.candles(series, since=start, until=end)}
            known |= {row.time: row for row in await self.source.hidden(series, start, end)}
            for row in held:
                if not _follows(row, known.get(row.time)):
                    raise other(f"a candle of {series} at {iso(row.time)}")

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

    # ---- values ----

    async def _copy_values(self, series: Series, values: Sequence[IndicatorValue]) -> list[IndicatorValue]:
        """Write what the target lacks of them; as they are there."""
        held = {value.indicator: value for value in await self.target.values(series)}
        translated = [self._translated(value, held) for value in values]
        lacking = [value for value in translated if value != held.get(value.indicator)]
        if lacking:
            await self.target.transact(Batch(changes=[SeriesChange(series=series, values=lacking)]))
            self.copied.values += len(lacking)
        return translated

    def _translated(self, value: IndicatorValue, held: Mapping[str, IndicatorValue]) -> IndicatorValue:
        """The value with its cursor in the target: the one of an earlier copy, where it cannot be told any more.

        A value whose cursor the log has forgotten has none: here as there its state does not hold.
        """
        there = held.get(value.indicator)
        if value.cursor not in self.cursors and there and replace(there, cursor=value.cursor) == value:
            return there
        return replace(value, cursor=self.cursors.get(value.cursor, ""))

    # ---- names ----

    async def _copy_status(self) -> None:
        """Of what runs on a store its status alone knows which names are aliases. On the copy nothing runs."""
        if status := await self.source.read_status():
            # Of a shared store the row tells of several processes.
            alone = {key: value for key, value in status.items() if key not in ("holds", "holders", "processes")}
            await self.target.write_status(alone | {"state": "STOPPED"})

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


def _follows(held: Candle, row: Candle | None) -> bool:
    """Whether the source's row is what the target holds, or came of it later."""
    return row is not None and (row.revision > held.revision or (row.revision == held.revision and same(row, held)))
