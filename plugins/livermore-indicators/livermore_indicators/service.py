"""IndicatorCalculationService: warms every indicator from the store, then keeps each true with every announcement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from livermore_core import Batch, Candle, Context, Event, IndicatorValue, Series, SeriesChange, SeriesHost
from livermore_indicators.choosing import chosen
from livermore_indicators.saved import Memory, Range, saved_text
from livermore_indicators.work import Work, event_of

CLOSED, GAP, OPEN, EMPTY = "candle.closed", "candle.gap", "candle.open", "candle.empty"
CHANGES = frozenset({"candle.healed", "candle.revised", "candles.backfilled"})
VALUE, CORRECTED, PREVIEW = "indicator.value", "indicator.corrected", "indicator.preview"
WARM_AT_ONCE = 200
EVERYTHING = ((0, 1 << 40),)


class IndicatorCalculationService:
    """What the `indicators` stage runs: `await start()` returns when every indicator is warm and listening."""

    def __init__(self, context: Context) -> None:
        self._context, self._store = context, context.store
        self._chosen = chosen(context)
        self._identities = {each.name: each.identity for each in self._chosen}
        self._hosts: dict[Series, list[SeriesHost]] = {}
        # Series with a hole, and up to when all must be known again: their values wait until then.
        self._withheld: dict[Series, int] = {}
        # Series of which a gap may have been announced unheard: their next candle is looked up, not taken.
        self._doubted: set[Series] = set()
        self._published: dict[tuple[Series, str], dict[int, IndicatorValue]] = {}
        # Indicators that failed on some series, said once of each; and those whose stored state is not to be believed.
        self._failed: set[str] = set()
        self._gone: list[tuple[Series, str]] = []
        # Up to where everything announced was heard, in how many wake-ups; no state is stored while that is not known.
        self._cursor: str | None = None
        self._run_number = self._heard = 0

    async def start(self) -> None:
        """Warm every indicator on every followed series, then run as a service."""
        for following in self._context.exchanges.values():
            for symbol in following.symbols:
                for timeframe in following.timeframes:
                    series = Series(following.name, symbol, timeframe)
                    hosts = [each.host(series) for each in self._chosen if each.runs_on(series)]
                    if hosts:
                        self._hosts[series] = hosts
        await self._context.start(self._run, name="indicators", critical=True)

    async def _run(self, ready: Callable[[], None]) -> None:
        by_the_clock = {EMPTY} if any(each.empty != "skip" for each in self._chosen) else set()
        with self._context.subscribe({CLOSED, GAP, OPEN, *CHANGES, *by_the_clock}) as announced:
            await self._warm_all()
            ready()
            lost = 0
            while True:
                events = await announced.get()
                self._heard += 1
                has_lost, lost = announced.lost > lost, announced.lost
                # No state is stored before what the bound dropped is read from the store.
                self._cursor = None if has_lost else announced.cursor or self._cursor
                await self._take(events)
                if has_lost:
                    self._cursor = announced.cursor
                    await self._resync_all()

    # ---- warming ----

    async def _warm_all(self) -> None:
        memory = await Memory.read(self._store, self._hosts, {GAP, *CHANGES})
        self._run_number, self._cursor = memory.run, memory.head
        work, anew = Work(), Counter[tuple[str, str]]()
        for count, series in enumerate(self._hosts, start=1):
            for host in self._hosts[series]:
                reason = memory.resume(series, host, self._identities[host.name])
                if reason is not None:
                    anew[host.name, reason] += 1
            await self._warm(series, memory, work)
            if count % WARM_AT_ONCE == 0:
                work = await self._commit(work)
        await self._commit(work)
        for (name, reason), number in anew.items():
            self._context.progress("indicators.replayed", indicator=name, series=number, reason=reason)

    async def _warm(self, series: Series, memory: Memory, work: Work) -> None:
        """Feed the hosts with what is known without a hole up to now, from their states on where these hold."""
        intervals = list(await self._store.coverage(series))
        for host in self._hosts[series]:
            values = await self._fed(series, host, intervals[-1], memory.changed(series, host)) if intervals else []
            # What was told before this run is not told once more, should its candle not be known yet.
            newest = memory.told[series].get(host.name)
            if newest is not None and (not values or newest.time > values[-1].time):
                values = [*values, structs.replace(newest, state=None)]
            self._published[series, host.name] = {value.time: value for value in values}
            if values:
                work.latest(series, values[-1], host)

    async def _fed(
        self, series: Series, host: SeriesHost, known: Range, changed: Sequence[Range]
    ) -> list[IndicatorValue]:
        """Replay what can be replayed of what is known, rebuild else; the values that this gives."""
        low, high = known
        first = host.replayed_from or host.fed_from
        deepens = host.seen < host.settle and any(start < host.fed_from for start, _ in changed)
        if low <= first < high and not host.changes_below(changed) and not deepens:
            rows, feed = await self._store.candles(series, since=host.replay_since, until=high), host.replay
        else:
            rows, feed = await self._store.candles(series, last=host.depth, since=low, until=high), host.rebuild
        try:
            return feed(rows, high)
        except Exception as error:
            self._leave_out(series, host, error)
            return []

    # ---- listening ----

    async def _take(self, events: list[Event]) -> None:
        work = Work()
        changed: dict[Series, list[tuple[int, int]]] = {}
        opens: dict[Series, Candle] = {}
        for event in events:
            series = event.series
            if series not in self._hosts:
                continue
            if event.kind == OPEN:
                if event.candle is not None:  # of many previews the last one counts
                    opens[series] = event.candle
            elif event.kind == CLOSED and not self._waits(series, changed):
                self._close(series, event.candle, work)
            elif event.kind == EMPTY and not self._waits(series, changed):
                self._pass(series, event.time, event.until or event.time, work)
            elif event.kind == GAP:
                self._withhold(series, event.until or event.time + 1)
            else:
                changed.setdefault(series, []).append((event.time, event.until or event.time + 1))
        for series, ranges in changed.items():
            await self._resync(series, work, ranges)
        await self._commit(work)
        for series, candle in opens.items():
            self._preview(series, candle)

    def _waits(self, series: Series, changed: Mapping[Series, object]) -> bool:
        return series in self._withheld or series in self._doubted or series in changed

    def _close(self, series: Series, candle: Candle | None, work: Work) -> None:
        for host in self._hosts[series]:
            if candle is None or candle.time <= host.last:
                continue
            try:
                values = [host.commit(candle)] if host.empty == "skip" else host.commit_all([candle], 0)
            except Exception as error:
                self._leave_out(series, host, error)
                continue
            self._tell(series, host, values, work)

    def _pass(self, series: Series, start: int, end: int, work: Work) -> None:
        """Buckets closed without a trade."""
        for host in self._hosts[series]:
            if host.last and start <= host.last + host.width:
                try:
                    values = host.commit_all([], end)
                except Exception as error:
                    self._leave_out(series, host, error)
                    continue
                self._tell(series, host, values, work)

    def _tell(self, series: Series, host: SeriesHost, values: list[IndicatorValue], work: Work) -> None:
        for value in values:
            self._note(series, host, value)
            work.add(series, value, VALUE, host)

    def _preview(self, series: Series, candle: Candle) -> None:
        if series in self._withheld:
            return
        for host in self._hosts[series]:
            if candle.time > host.last:
                try:
                    value = host.peek(candle)
                except Exception as error:
                    self._leave_out(series, host, error)
                    continue
                self._context.publish(event_of(series, value, PREVIEW))

    async def _resync_all(self) -> None:
        work = Work()
        for series in self._hosts:
            await self._resync(series, work, EVERYTHING)
        await self._commit(work)
        self._doubted.update(self._hosts)

    async def _resync(self, series: Series, work: Work, ranges: Sequence[tuple[int, int]]) -> None:
        """These ranges changed, or became known: replay what can be replayed, rebuild else, publish what differs."""
        intervals = list(await self._store.coverage(series))
        if not intervals:
            return
        reached = intervals[-1][1]
        for host in self._hosts[series]:
            # What was fed must still be known without a hole; beyond one, values wait.
            anchor = host.replayed_from or host.fed_from
            known = next(((low, high) for low, high in intervals if low <= anchor < high), intervals[-1])
            values = await self._fed(series, host, known, ranges)
            self._publish_differences(series, host, values, work)
            reached = min(reached, known[1])
        self._doubted.discard(series)
        if reached < max(self._withheld.get(series, 0), intervals[-1][1]):
            self._withhold(series, intervals[-1][1])
        else:
            self._withheld.pop(series, None)

    def _withhold(self, series: Series, until: int) -> None:
        self._withheld[series] = max(until, self._withheld.get(series, 0))

    def _publish_differences(self, series: Series, host: SeriesHost, values: list[IndicatorValue], work: Work) -> None:
        before = self._published.get((series, host.name), {})
        newest = max(before, default=0)
        for value in values:
            known = before.get(value.time)
            if known is not None and known.outputs == value.outputs:
                continue
            if known is None and value.time < min(before, default=0):
                continue
            if value.time > newest:
                work.add(series, value, VALUE, host)
            else:
                value = structs.replace(value, revision=(known.revision if known is not None else 0) + 1)
                work.add(series, value, CORRECTED)
            self._note(series, host, value)
        # The state has changed even where no value has.
        published = self._published.get((series, host.name))
        if published:
            work.latest(series, published[max(published)], host)

    def _leave_out(self, series: Series, host: SeriesHost, error: Exception) -> None:
        """An indicator that fails is named, and left out on this series; the others go on."""
        self._hosts[series] = [each for each in self._hosts[series] if each is not host]
        self._gone.append((series, host.name))
        if host.name not in self._failed:
            self._failed.add(host.name)
            cause = f"{type(error).__name__}: {error}"
            self._context.progress("indicator.failed", indicator=host.name, series=str(series), cause=cause)

    def _note(self, series: Series, host: SeriesHost, value: IndicatorValue) -> None:
        published = self._published.setdefault((series, host.name), {})
        published[value.time] = value
        while published and (oldest := next(iter(published))) <= host.replayed_from:
            del published[oldest]

    async def _commit(self, work: Work) -> Work:
        for series, name in self._gone:
            if published := self._published.get((series, name)):
                work.latest(series, published[max(published)], None)
        self._gone.clear()
        if work.values or work.events:
            cursor = None if self._cursor is None else json.dumps(self._cursor)
            changes = [
                SeriesChange(series=series, values=[self._stored(*latest, cursor) for latest in each.values()])
                for series, each in work.values.items()
            ]
            await self._store.transact(Batch(changes=changes, events=work.events))
            for event in work.events:
                self._context.publish(event)
        return Work()

    def _stored(self, value: IndicatorValue, host: SeriesHost | None, cursor: str | None) -> IndicatorValue:
        """The value with what the next start goes on from."""
        if host is None or cursor is None or (state := host.state) is None:
            return value
        text = saved_text(self._identities[host.name], self._run_number, self._heard, cursor, state)
        return structs.replace(value, state=text)
