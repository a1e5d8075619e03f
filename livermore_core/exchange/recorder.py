"""The one writer of candles of an exchange: a row, its coverage and its announcement are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from livermore_core.bus import Bus
from livermore_core.errors import StoreError
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.trouble import Trouble, reason_of
from livermore_core.market.candle import Candle, merge
from livermore_core.market.events import GAP, REVISED
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.ledger import Change, Ledger
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, floor, iso, ladder
from livermore_core.store.protocol import Batch, CandleStore, SeriesChange

ORDER_HOLD = 30
CLOSE_GRACE = 2


class Recorder:
    """Takes in what is learned of a symbol, derives the higher timeframes, and keeps the order of announcements.

    A live bucket beyond the edge of its series waits (is *held*) until its predecessors are known, at most ORDER_HOLD
    seconds of exchange time; then the gap is announced first.
    """

    def __init__(
        self, exchange: str, timeframes: tuple[str, ...], store: CandleStore, bus: Bus, clock: ExchangeClock
    ) -> None:
        self.exchange, self.store, self.bus, self.clock = exchange, store, bus, clock
        self.timeframes = tuple(sorted(timeframes, key=WIDTHS.__getitem__))
        self.ladder = ladder(self.timeframes)
        self.live: set[str] = set()
        self.learned = 0
        # Announced since the start: candles that changed, and native rows that differ from what their parts add up to.
        self.revised = self.native_differences = 0
        self.changed = asyncio.Event()
        # Who asks the exchange; set by the kit, so that a part that cannot be derived is asked natively.
        self.want: Callable[[Series, int, int, str, int], None] = lambda series, start, end, reason, after: None
        # Who is told of a gap, for the log.
        self.say: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
        # A full disk still has room for this and that.
        self.trouble = Trouble("store.error", lambda event, fields: self.say(event, fields), settles=10.0)
        self._ledgers: dict[Series, Ledger] = {}
        self._held: dict[Series, dict[int, Candle | None]] = {}
        self._blocked: dict[Series, float] = {}
        self._asked: dict[Series, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    # ---- reading ----

    async def load(self, symbols: Iterable[str]) -> None:
        """Read the ledgers of these symbols from the store."""
        for symbol in symbols:
            for timeframe in self.timeframes:
                series = Series(self.exchange, symbol, timeframe)
                hidden = await self.store.hidden(series, 0, 1 << 40)
                self._ledgers[series] = Ledger(
                    series, await self.store.coverage(series), {row.time: row for row in hidden}
                )

    def ledger(self, symbol: str, timeframe: str) -> Ledger:
        """The ledger of a series of a loaded symbol."""
        return self._ledgers[Series(self.exchange, symbol, timeframe)]

    def ledgers(self) -> list[Ledger]:
        """Every ledger, by symbol and width."""
        return list(self._ledgers.values())

    def unknown(self, series: Series, start: int, end: int) -> list[Interval]:
        """The parts of [start, end) that nobody has an answer for yet (held answers count as known)."""
        known = self._ledgers[series].coverage
        held = self._held.get(series)
        if held:
            known = known.copy()
            for time in held:
                known.add(time, time + WIDTHS[series.timeframe])
        return known.missing(start, end)

    # ---- learning ----

    async def learn(
        self,
        series: Series,
        covered: Sequence[Interval],
        rows: Sequence[Candle],
        *,
        live: bool,
        derive: bool = True,
        by_trades: bool = False,
    ) -> None:
        """Everything about `covered` is known now: `rows` and nothing else. Raises StoreError.

        `live` announces candle by candle, in order; else a range is announced as one. `derive`: higher candles follow.
        `by_trades`: rows that REST has told stand.
        """
        ledger = self._ledgers[series]
        async with self._lock(series.symbol):
            work = _Work(self)
            work.derive = derive
            for start, end in covered:
                if by_trades and await self._is_told(ledger, start, end):
                    continue
                at_once = self._at_once(ledger, start, end) if live else end
                if start < at_once:
                    await work.learn(ledger, (start, at_once), rows, live=live)
                self._hold(ledger, at_once, end, rows)
            await self._advance(series.symbol, work)
            await self._commit(work)

    async def _is_told(self, ledger: Ledger, start: int, end: int) -> bool:
        """Whether there is a row that came from REST."""
        if not ledger.coverage.within(start, end):
            return False
        return any(row.source == "rest" for row in await self.store.candles(ledger.series, since=start, until=end))

    async def close(self, symbol: str, bucket: int, candle: Candle | None) -> None:
        """A 1m bucket is closed by its trades: its candle, or None for EMPTY. A row that REST has told stands."""
        ledger = self.ledger(symbol, self.timeframes[0])
        end = bucket + ledger.width
        rows = [] if candle is None else [candle]
        await self.learn(ledger.series, [(bucket, end)], rows, live=True, by_trades=True)

    async def retract(self, symbol: str, start: int, end: int, reason: str) -> None:
        """What was known of [start, end) of 1m does not stand, nor do the higher candles derived from it.

        What came from REST stands, and so does what was derived from it alone.
        """
        async with self._lock(symbol):
            work = _Work(self)
            parts = dict(self.ladder)
            doubted: dict[str, Intervals] = {}
            for timeframe in self.timeframes:
                ledger = self.ledger(symbol, timeframe)
                low, high = start // ledger.width * ledger.width, -(-end // ledger.width) * ledger.width
                held = self._held.get(ledger.series, {})
                for time in [time for time in held if low <= time < high]:
                    del held[time]
                present = await self.store.candles(ledger.series, since=low, until=high)
                standing = Intervals((row.time, row.time + ledger.width) for row in present if row.source == "rest")
                if timeframe in parts:
                    for bucket in range(low, high, ledger.width):
                        if not doubted[parts[timeframe]].within(bucket, bucket + ledger.width):
                            standing.add(bucket, bucket + ledger.width)
                doubted[timeframe] = Intervals(standing.missing(low, high))
                for since, until in doubted[timeframe]:
                    gone = [row for row in present if since <= row.time < until]
                    work.change(ledger).retract(since, until, gone, reason)
            await self._commit(work)

    async def announce_gaps(self, symbol: str, start: dict[str, int], reason: str) -> None:
        """Announce every unknown range between `start[timeframe]` and the edge of each series."""
        async with self._lock(symbol):
            work = _Work(self)
            for timeframe, since in start.items():
                ledger = self.ledger(symbol, timeframe)
                for low, high in ledger.unknown(since, ledger.edge or since):
                    for unsaid in ledger.gaps.missing(low, high):
                        work.change(ledger).gap(*unsaid, reason)
            await self._commit(work)

    async def go_live(self, symbol: str) -> None:
        """History is complete: from here on the edge advances bucket by bucket, in order."""
        for timeframe in self.timeframes:
            ledger = self.ledger(symbol, timeframe)
            if ledger.edge is None:  # no history was wanted: it begins with the bucket that is open now
                ledger.edge = min(self._held.get(ledger.series, ()), default=floor(self.clock.now, timeframe))
        self.live.add(symbol)
        await self.tick(symbol)

    async def tick(self, symbol: str) -> None:
        """Exchange time has passed: derive, ask and give up waiting where due."""
        async with self._lock(symbol):
            work = _Work(self)
            await self._advance(symbol, work)
            await self._commit(work)

    async def trim(self, keep: Mapping[str, int]) -> None:
        """Keep the newest candles of each series; what goes is not known any more."""
        if await self.store.trim(keep):
            for ledger in self.ledgers():
                async with self._lock(ledger.series.symbol):
                    kept = (await self.store.coverage(ledger.series)).start
                    if kept is not None:
                        ledger.coverage.remove(0, kept)

    # ---- the live edge ----

    def _at_once(self, ledger: Ledger, start: int, end: int) -> int:
        """Up to where a live answer about [start, end) may be taken in now; what is beyond the edge is held."""
        if ledger.edge is None:
            return end if ledger.series.symbol in self.live else start
        return max(start, min(end, ledger.edge))

    def _hold(self, ledger: Ledger, start: int, end: int, rows: Sequence[Candle]) -> None:
        if start >= end:
            return
        known = {row.time: row for row in rows}
        held = self._held.setdefault(ledger.series, {})
        for time in range(start, end, ledger.width):
            row = known.get(time)
            if time in held and (row is None or row.source != "rest"):
                continue
            held[time] = row

    async def _advance(self, symbol: str, work: _Work) -> None:
        """Move the edge of each series of a live symbol as far as it is known, low timeframes first."""
        if symbol not in self.live:
            return
        parts = dict(self.ladder)
        for timeframe in self.timeframes:
            ledger = self.ledger(symbol, timeframe)
            if ledger.edge is None or work.edge(ledger) + ledger.width > self.clock.now:
                continue
            while await self._step(ledger, parts.get(timeframe), work):
                pass

    async def _step(self, ledger: Ledger, part: str | None, work: _Work) -> bool:
        """Announce the bucket at the edge, if it is known or has been waited for long enough."""
        edge = work.edge(ledger)
        end = edge + ledger.width
        held = self._held.get(ledger.series, {})
        for stale in [time for time in held if time < edge]:
            del held[stale]
        if edge in held:
            row = work.take(held, edge)
            await work.learn(ledger, (edge, end), [] if row is None else [row], live=True)
        elif part is not None and work.coverage(self.ledger(ledger.series.symbol, part)).covers(edge, end):
            row = await work.derived(ledger, part, edge)
            await work.learn(ledger, (edge, end), [] if row is None else [row], live=True)
        elif self._overdue(ledger, edge, end, held):
            until = min(held, default=end)
            work.change(ledger).gap(edge, until, "order.hold")
            self.want(ledger.series, edge, until, "order.hold", until)
        else:
            return False
        self._blocked.pop(ledger.series, None)
        return True

    def _overdue(self, ledger: Ledger, edge: int, end: int, held: dict[int, Candle | None]) -> bool:
        """Whether the bucket at the edge has kept its successors waiting for ORDER_HOLD; asks for it meanwhile."""
        now = self.clock.now
        if now < end + CLOSE_GRACE:
            return False
        if ledger.width > WIDTHS[self.timeframes[0]] and self._asked.get(ledger.series) != edge:
            self._asked[ledger.series] = edge
            self.want(ledger.series, edge, end, "part.unknown", end)
        if not held and now < end + CLOSE_GRACE + ORDER_HOLD:
            return False
        since = self._blocked.setdefault(ledger.series, now)
        return now >= max(since, end + CLOSE_GRACE) + ORDER_HOLD

    # ---- writing ----

    async def _commit(self, work: _Work) -> None:
        changes = [change for change in work.changes.values() if change]
        if not changes:
            return
        batch = Batch(
            changes=[
                SeriesChange(
                    series=change.ledger.series,
                    rows=list(change.rows.values()),
                    hidden=list(change.hidden.values()),
                    covered=change.covered,
                    uncovered=change.uncovered,
                )
                for change in changes
            ],
            events=[event for change in changes for event in change.events],
        )
        writing = asyncio.ensure_future(self._write(batch, changes, work))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The store commits whoever waits for it: what it holds and what the ledgers say must not part.
            await asyncio.wait([writing])
            raise

    async def _write(self, batch: Batch, changes: Sequence[Change], work: _Work) -> None:
        try:
            await self.store.transact(batch)
        except StoreError as error:
            self.refused(error)
            work.give_back()
            raise
        self.trouble.well()
        for change in changes:
            change.apply()
            self.learned += len(change.rows)
            self._count(change)
        work.ask()
        for event in batch.events:
            self.bus.publish(event)
            if event.kind == GAP:
                said = {"symbol": event.symbol, "timeframe": event.timeframe, "reason": event.reason}
                self.say("gap.opened", {**said, "start": iso(event.time), "end": iso(event.until or event.time)})
        self.changed.set()

    def refused(self, error: StoreError) -> None:
        """The store did not do what it should: it is full, or fails."""
        self.trouble.bad(reason_of(error, "store.error"), error)

    def _count(self, change: Change) -> None:
        self.revised += sum(event.kind == REVISED for event in change.events)
        self.native_differences += len(change.unsummed)

    def _lock(self, symbol: str) -> asyncio.Lock:
        return self._locks.setdefault(symbol, asyncio.Lock())


class _Work:
    """One transaction of one symbol in the making: changes by series, and what follows for higher timeframes."""

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
            self._recorder.want(series, start, end, reason, 0)

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
