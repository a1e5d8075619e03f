"""IndicatorCalculationService: warms every indicator from the store, then keeps each true with every announcement."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import ParamSpec, TypeVar

from msgspec import structs

from livermore_core import (
    Batch,
    Candle,
    Context,
    Event,
    IndicatorValue,
    Series,
    SeriesChange,
    SeriesHost,
    StoreCorruptError,
    StoreError,
)
from livermore_indicators.choosing import chosen
from livermore_indicators.saved import Memory, Range, logged, saved_text
from livermore_indicators.told import Told
from livermore_indicators.work import Work, event_of

CLOSED, GAP, OPEN, EMPTY = "candle.closed", "candle.gap", "candle.open", "candle.empty"
CHANGES = frozenset({"candle.healed", "candle.revised", "candles.backfilled"})
VALUE, CORRECTED, PREVIEW = "indicator.value", "indicator.corrected", "indicator.preview"
WARM_AT_ONCE = 200
# Seconds until a refused write is tried again.
PAUSES = (0.5, 1.0, 2.0, 5.0)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class IndicatorCalculationService:
    """What the `indicators` stage runs: `await start()` returns when every indicator is warm and listening."""

    def __init__(self, context: Context) -> None:
        self._context, self._store = context, context.store
        self._chosen = chosen(context)
        self._identities = {each.name: each.identity for each in self._chosen}
        # Indicators that failed on some series; said once of each.
        self._failed: set[str] = set()

    async def start(self) -> None:
        """Warm every indicator on every followed series, then run as a service."""
        await self._context.start(self._run, name="indicators", critical=True)

    async def _run(self, ready: Callable[[], None]) -> None:
        self._begin()
        by_the_clock = {EMPTY} if any(each.empty != "skip" for each in self._chosen) else set()
        with self._context.subscribe({CLOSED, GAP, OPEN, *CHANGES, *by_the_clock}) as announced:
            await self._warm_all()
            self._is_ready = True
            ready()
            lost = 0
            while True:
                events = await announced.get()
                if announced.lost > lost:  # what the bound dropped is in the log
                    lost = announced.lost
                    events, self._cursor = await self._logged()
                    if by_the_clock:  # that nothing traded is not in the log
                        self._doubted.update(dict.fromkeys(self._hosts, 0))
                else:
                    self._cursor = announced.cursor or self._cursor
                self._heard += 1
                await self._take(events)

    def _begin(self) -> None:
        """Nothing is known of what a run before this one has fed."""
        self._hosts: dict[Series, list[SeriesHost]] = {}
        # Series with a hole, and up to when all must be known again: their values wait until then.
        self._withheld: dict[Series, int] = {}
        # Series that may have a hole at the end of what is known: the first candle beyond it is looked up, not taken.
        self._doubted: dict[Series, int] = {}
        self._told = Told()
        self._is_ready = False
        # Those whose stored state is not to be believed.
        self._gone: list[tuple[Series, str]] = []
        # Up to where all that was announced has been heard, in how many wake-ups of which run.
        self._cursor = ""
        self._number = self._heard = 0
        unused = {each.name for each in self._chosen}
        for following in self._context.exchanges.values():
            for symbol in following.symbols:
                for timeframe in following.timeframes:
                    series = Series(following.name, symbol, timeframe)
                    hosts = [each.host(series) for each in self._chosen if each.runs_on(series)]
                    if hosts:
                        self._hosts[series] = hosts
                        unused -= {host.name for host in hosts}
        for name in sorted(unused):
            self._context.progress("indicators.unmatched", indicator=name)

    async def _logged(self) -> tuple[list[Event], str]:
        """What was committed since the last wake-up, and the cursor after it. Raises CursorExpiredError."""
        heard = [pair async for pair in logged(self._store, self._cursor)]
        cursor = heard[-1][0] if heard else self._cursor
        return [event for _, event in heard if event.value is None], cursor

    # ---- warming ----

    async def _warm_all(self) -> None:
        memory = await Memory.read(self._store, self._hosts, {GAP, *CHANGES})
        self._number, self._cursor = memory.run, memory.head
        work, anew = Work(), Counter[tuple[str, str]]()
        for count, series in enumerate(self._hosts, start=1):
            anew.update(await self._warm(series, memory, work))
            if count % WARM_AT_ONCE == 0:
                work = await self._commit(work)
        await self._commit(work)
        for (name, reason), number in anew.items():
            self._context.progress("indicators.replayed", indicator=name, series=number, reason=reason)

    async def _warm(self, series: Series, memory: Memory, work: Work) -> list[tuple[str, str]]:
        """Feed the hosts with what is known without a hole up to now, from their states on where these hold.

        Gives each that cannot go on from its state, with the reason.
        """
        anew: list[tuple[str, str]] = []
        intervals = list(await self._store.coverage(series))
        self._doubted[series] = intervals[-1][1] if intervals else 0
        for host in self._hosts[series]:
            values: list[IndicatorValue] = []
            changed: Sequence[Range] = ()
            if intervals:
                reason = memory.resume(series, host, self._identities[host.name])
                known, changed = _around(host, intervals), memory.changed(series, host)
                reason = reason or (host.needs_rebuild(known, changed) if host.fed_from else None)
                anew += [(host.name, reason)] if reason else []
                before = host.fed_from
                values = await self._fed(series, host, known, changed)
                # What is older than all that was fed has changed nothing, unless it asked for a rebuild.
                changed = [each for each in changed if reason or each[1] > before]
                if known != intervals[-1]:
                    self._withhold(series, intervals[-1][1])
            self._warmed(series, host, values, changed, memory, work)
        return anew

    def _warmed(
        self,
        series: Series,
        host: SeriesHost,
        values: list[IndicatorValue],
        changed: Sequence[Range],
        memory: Memory,
        work: Work,
    ) -> None:
        """Store the newest value, and announce what a run before this one would have, had it gone on."""
        newest, revisions = memory.told[series].get(host.name), memory.revisions(series, host.name)
        for value in values:
            revised = structs.replace(value, revision=revisions.get(value.time, value.revision))
            if newest is not None and value.time > newest.time:
                work.add(series, revised, VALUE)
            elif newest is not None and any(start <= value.time for start, _ in changed):
                revised = structs.replace(revised, revision=revised.revision + 1)
                work.add(series, revised, CORRECTED)
            self._told.note(series, host, revised)
            work.latest(series, revised, host)
        # What was told before this run is not told once more, should its candle not be known yet.
        if newest is not None and (not values or newest.time > values[-1].time):
            newest = structs.replace(
                newest, state=None, cursor="", revision=revisions.get(newest.time, newest.revision)
            )
            self._told.note(series, host, newest)
            work.latest(series, newest, host)

    async def _fed(
        self, series: Series, host: SeriesHost, known: Range, changed: Sequence[Range]
    ) -> list[IndicatorValue]:
        """Replay what can be replayed of what is known, rebuild else; the values that this gives."""
        low, high = known
        if host.needs_rebuild(known, changed) is None:
            rows, feed = await self._store.candles(series, since=host.replay_since, until=high), host.replay
        else:
            rows, feed = await self._store.candles(series, last=host.depth, since=low, until=high), host.rebuild
        return self._tried(series, host, feed, rows, high) or []

    # ---- listening ----

    async def _take(self, events: list[Event]) -> None:
        work = Work()
        changed: dict[Series, list[Range]] = {}
        opens: dict[Series, Candle] = {}
        for event in events:
            series = event.series
            if series not in self._hosts:
                continue
            if event.kind == OPEN:
                if event.candle is not None:  # of many previews the last one counts
                    opens[series] = event.candle
            elif event.kind == GAP:
                self._withhold(series, event.until or event.time + 1)
            elif event.kind in CHANGES or self._waits(series, changed):
                changed.setdefault(series, []).append((event.time, event.until or event.time + 1))
            elif event.kind == CLOSED:
                self._close(series, event.candle, work)
            else:
                self._pass(series, event.time, event.until or event.time, work)
        for series, ranges in changed.items():
            await self._resync(series, work, ranges)
        await self._commit(work)
        for series, candle in opens.items():
            self._preview(series, candle)

    def _waits(self, series: Series, changed: Mapping[Series, object]) -> bool:
        return series in self._withheld or series in self._doubted or series in changed

    def _close(self, series: Series, candle: Candle | None, work: Work) -> None:
        for host in self._hosts[series]:
            if candle is not None and candle.time > host.last:
                values = self._tried(series, host, host.commit_all, (candle,), 0)
                self._tell(series, host, values or (), work)

    def _pass(self, series: Series, start: int, end: int, work: Work) -> None:
        """Buckets closed without a trade."""
        for host in self._hosts[series]:
            if host.last and start <= host.last + host.width:
                values = self._tried(series, host, host.commit_all, (), end)
                self._tell(series, host, values or (), work)

    def _tell(self, series: Series, host: SeriesHost, values: Iterable[IndicatorValue], work: Work) -> None:
        for value in values:
            self._told.note(series, host, value)
            work.add(series, value, VALUE)
            work.latest(series, value, host)

    def _preview(self, series: Series, candle: Candle) -> None:
        if series in self._withheld or candle.time > self._doubted.get(series, candle.time):
            return
        for host in self._hosts[series]:
            if candle.time > host.last:
                value = self._tried(series, host, host.peek, candle)
                if value is not None:
                    self._context.publish(event_of(series, value, PREVIEW))

    async def _resync(self, series: Series, work: Work, ranges: Sequence[Range]) -> None:
        """These ranges changed, or became known: replay what can be replayed, rebuild else, publish what differs."""
        intervals = list(await self._store.coverage(series))
        if not intervals:
            return
        reached = intervals[-1][1]
        for host in self._hosts[series]:
            known = _around(host, intervals)
            values = await self._fed(series, host, known, ranges)
            for value, is_new in self._told.differences(series, host, values):
                work.add(series, value, VALUE if is_new else CORRECTED)
            # The state has changed even where no value has.
            if latest := self._told.newest(series, host.name):
                work.latest(series, latest, host)
            reached = min(reached, known[1])
        if intervals[-1][1] > self._doubted.get(series, 0):
            self._doubted.pop(series, None)
        if reached < max(self._withheld.get(series, 0), intervals[-1][1]):
            self._withhold(series, intervals[-1][1])
        else:
            self._withheld.pop(series, None)

    def _withhold(self, series: Series, until: int) -> None:
        self._withheld[series] = max(until, self._withheld.get(series, 0))

    def _tried(
        self,
        series: Series,
        host: SeriesHost,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **more: Arguments.kwargs,
    ) -> Result | None:
        """What `work` gives; an indicator that raises is named, and left out on this series: the others go on."""
        try:
            return work(*arguments, **more)
        except Exception as error:
            self._hosts[series] = [each for each in self._hosts[series] if each is not host]
            self._gone.append((series, host.name))
            if host.name not in self._failed:
                self._failed.add(host.name)
                cause = f"{type(error).__name__}: {error}"
                self._context.progress("indicator.failed", indicator=host.name, series=str(series), cause=cause)
            return None

    async def _commit(self, work: Work) -> Work:
        for series, name in self._gone:
            if latest := self._told.newest(series, name):
                work.latest(series, latest, None)
        self._gone.clear()
        if work.values or work.events:
            changes = [
                SeriesChange(series=series, values=[self._stored(series, *pair) for pair in each.values()])
                for series, each in work.values.items()
            ]
            cursor = await self._written(Batch(changes=changes, events=work.events))
            for event in work.events:
                self._context.publish(event, cursor)
        return Work()

    async def _written(self, batch: Batch) -> str:
        """Once all is warm, a store that refuses (it is full, or busy) is waited for: it says so itself."""
        for pause in chain(PAUSES, repeat(PAUSES[-1])):
            try:
                return await self._store.transact(batch)
            except StoreError as error:
                if not self._is_ready or isinstance(error, StoreCorruptError):
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("a pause without end has ended")

    def _stored(self, series: Series, value: IndicatorValue, host: SeriesHost | None) -> IndicatorValue:
        """The value with what the next start goes on from."""
        if host is None:
            return value
        revisions = self._told.revisions(series, host.name)
        text = saved_text(
            self._identities[host.name],
            self._number,
            self._heard,
            json.dumps({**revisions}) if revisions else "{}",
            host.state or "null",
        )
        return structs.replace(value, state=text, cursor=self._cursor)


def _around(host: SeriesHost, intervals: Sequence[Range]) -> Range:
    """Of what is known, the part that holds what was fed, for beyond a hole values wait; else the newest."""
    return next(((low, high) for low, high in intervals if low <= host.anchor < high), intervals[-1])
