"""One transaction of one symbol in the making: changes by series, and what follows for higher timeframes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from livermore_core.market.candle import Candle, merge
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.ledger import Change, Ledger
from livermore_core.market.series import Series

if TYPE_CHECKING:
    from livermore_core.exchange.recorder import Recorder


class Work:
    """What is learned together, written together: a change per series. `derive`: higher candles follow."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.derive = True
        self.changes: dict[Series, Change] = {}
        self._taken: list[tuple[dict[int, Candle | None], int, Candle | None]] = []
        self._to_ask: list[tuple[Series, int, int, str]] = []

    def change(self, ledger: Ledger) -> Change:
        found = self.changes.get(ledger.series)
        if found is None:
            found = self.changes[ledger.series] = Change(ledger, self._recorder.clock.now)
        return found

    def take(self, held: dict[int, Candle | None], time: int) -> Candle | None:
        """The answer that was held for a bucket; it is held again if this is not written."""
        row = held.pop(time)
        self._taken.append((held, time, row))
        return row

    def give_back(self) -> None:
        """What was taken is not written: hold it again."""
        for held, time, row in self._taken:
            held.setdefault(time, row)

    def ask(self) -> None:
        """Have asked for what this change makes doubtful: all at once, so that neighbours are one page."""
        for series, start, end, reason in self._to_ask:
            self._recorder.want(series, start, end, reason, always=True)

    def edge(self, ledger: Ledger) -> int:
        ends = [ledger.edge or 0]
        found = self.changes.get(ledger.series)
        if found is not None:
            ends += [end for _, end in found.covered] + [event.until or 0 for event in found.events]
        return max(ends)

    def coverage(self, ledger: Ledger) -> Intervals:
        found = self.changes.get(ledger.series)
        return ledger.coverage if found is None else found.coverage

    async def rows(self, ledger: Ledger, start: int, end: int) -> list[Candle]:
        """The present rows of the range as they will be."""
        stored = await self._recorder.store.candles(ledger.series, since=start, until=end)
        found = self.changes.get(ledger.series)
        if found is None:
            return stored
        merged = {row.time: row for row in stored}
        for time in found.hidden:
            merged.pop(time, None)
        merged.update({time: row for time, row in found.rows.items() if start <= time < end})
        return [merged[time] for time in sorted(merged)]

    async def derived(self, ledger: Ledger, part: str, bucket: int) -> Candle | None:
        """The candle of `bucket` from its complete lower rows, or from its minutes: native rows may be unlike them."""
        end = bucket + ledger.width
        rows = await self.rows(self._recorder.ledger(ledger.series.symbol, part), bucket, end)
        base = self._recorder.ledger(ledger.series.symbol, self._recorder.timeframes[0])
        if any(row.source == "rest" for row in rows) and self.coverage(base).covers(bucket, end):
            rows = await self.rows(base, bucket, end)
        return merge(bucket, rows)

    async def learn(self, ledger: Ledger, covered: Interval, rows: Sequence[Candle], *, live: bool) -> None:
        """Learn about one interval of one series, then about the higher candles that its change touches."""
        change = self.change(ledger)
        change.touched.clear()
        change.revised.clear()
        start, end = covered
        known = self.coverage(ledger).within(start, end)
        present = await self.rows(ledger, start, end) if known else []
        change.learn([covered], [row for row in rows if start <= row.time < end], present, live)
        revised = frozenset(change.revised - change.unsummed)
        touched = (change.touched if self.derive else revised) - change.unsummed
        self._doubt_parts(ledger, change.unsummed & change.revised)
        await self._rederive_above(ledger, touched, revised, live)

    def _doubt_parts(self, ledger: Ledger, unsummed: Collection[int]) -> None:
        """A native row changes itself alone, unless its minutes have changed too: nobody but the exchange can tell."""
        if unsummed:
            base = self._recorder.ledger(ledger.series.symbol, self._recorder.timeframes[0]).series
            self._to_ask.append((base, min(unsummed), max(unsummed) + ledger.width, "native.differs"))

    async def _rederive_above(
        self, ledger: Ledger, touched: Collection[int], revised: frozenset[int], live: bool
    ) -> None:
        for higher, part in self._recorder.ladder:
            if part == ledger.series.timeframe and touched:
                await self._rederive(self._recorder.ledger(ledger.series.symbol, higher), part, touched, revised, live)

    def _is_before_all(self, ledger: Ledger, bucket: int, end: int) -> bool:
        """Whether nothing as old was ever known: what is healed or revised below adds no history, hole by hole."""
        start = self.coverage(ledger).start
        return (start is None or bucket < start) and not ledger.gaps.within(bucket, end)

    async def _rederive(
        self, ledger: Ledger, part: str, touched: Collection[int], revised: frozenset[int], live: bool
    ) -> None:
        """Higher buckets that hold a touched part: derive anew; a native row that a revision touches is asked anew."""
        lower = self.coverage(self._recorder.ledger(ledger.series.symbol, part))
        for bucket in sorted({time // ledger.width * ledger.width for time in touched}):
            end = bucket + ledger.width
            if not lower.covers(bucket, end):
                continue
            beyond_edge = ledger.series.symbol in self._recorder.live and bucket >= self.edge(ledger)
            if beyond_edge:  # announced in order by the advance of the edge
                continue
            if (live or not revised.isdisjoint(range(bucket, end))) and self._is_before_all(ledger, bucket, end):
                continue
            present = await self.rows(ledger, bucket, end)
            if present and present[0].source == "rest":
                if any(bucket <= time < end for time in revised):
                    self._to_ask.append((ledger.series, bucket, end, "part.revised"))
                    # It may be the truth already, so that its own answer would change nothing above it.
                    await self._rederive_above(ledger, [bucket], frozenset([bucket]), live)
                continue
            if not present and ledger.coverage.covers(bucket, end) and not revised:
                continue
            row = await self.derived(ledger, part, bucket)
            await self.learn(ledger, (bucket, end), [] if row is None else [row], live=live)
