"""The one writer of candles of an exchange: a row, its coverage and its announcement are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from livermore_core.bus import Bus
from livermore_core.errors import StoreError
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.trouble import Trouble, reason_of
from livermore_core.exchange.work import Work
from livermore_core.market.candle import Candle
from livermore_core.market.events import EMPTY, GAP, REVISED
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
        self.want: Callable[..., None] = lambda series, start, end, reason, after=0.0, always=False: None
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
            work = Work(self)
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
            work = Work(self)
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
            work = Work(self)
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
            work = Work(self)
            await self._advance(symbol, work)
            await self._commit(work)

    async def trim(self, keep: Mapping[str, int]) -> None:
        """Keep the newest candles of each series; what goes is not known any more."""
        await self.store.trim(keep)
        # Whatever it says has gone: of a store that was asked twice the first answer may be lost.
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

    async def _advance(self, symbol: str, work: Work) -> None:
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

    async def _step(self, ledger: Ledger, part: str | None, work: Work) -> bool:
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
            self.want(ledger.series, edge, until, "order.hold", after=until)
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
            self.want(ledger.series, edge, end, "part.unknown", after=end)
        if not held and now < end + CLOSE_GRACE + ORDER_HOLD:
            return False
        since = self._blocked.setdefault(ledger.series, now)
        return now >= max(since, end + CLOSE_GRACE) + ORDER_HOLD

    # ---- writing ----

    async def _commit(self, work: Work) -> None:
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

    async def _write(self, batch: Batch, changes: Sequence[Change], work: Work) -> None:
        try:
            cursor = await self.store.transact(batch)
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
            self.bus.publish(event, cursor)
            if event.kind == GAP:
                said = {"symbol": event.symbol, "timeframe": event.timeframe, "reason": event.reason}
                self.say("gap.opened", {**said, "start": iso(event.time), "end": iso(event.until or event.time)})
        if self.bus.wants(EMPTY):
            for change in changes:
                self._tell_empty(change)
        self.changed.set()

    def _tell_empty(self, change: Change) -> None:
        """Whoever runs by the clock hears that it went on without a trade."""
        for start, end in change.covered:
            if not any(start <= time < end for time in change.rows):
                self.bus.publish(change.ledger.event(EMPTY, start, until=end))

    def refused(self, error: StoreError) -> None:
        """The store did not do what it should: it is full, or fails."""
        self.trouble.bad(reason_of(error, "store.error"), error)

    def _count(self, change: Change) -> None:
        self.revised += sum(event.kind == REVISED for event in change.events)
        self.native_differences += len(change.unsummed)

    def _lock(self, symbol: str) -> asyncio.Lock:
        return self._locks.setdefault(symbol, asyncio.Lock())
