"""IndicatorCalculationService: warms every indicator from the store, then keeps each true with every announcement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from msgspec import structs

from livermore_core import Batch, Candle, Context, Event, Indicator, IndicatorValue, Series, SeriesChange, SeriesHost

CLOSED, GAP, OPEN = "candle.closed", "candle.gap", "candle.open"
CHANGES = frozenset({"candle.healed", "candle.revised", "candles.backfilled"})
VALUE, CORRECTED, PREVIEW = "indicator.value", "indicator.corrected", "indicator.preview"
WARM_AT_ONCE = 200
EVERYTHING = ((0, 1 << 40),)


class IndicatorCalculationService:
    """What the `indicators` stage runs: `await start()` returns when every indicator is warm and listening."""

    def __init__(self, context: Context) -> None:
        self._context, self._store = context, context.store
        self._hosts: dict[Series, list[SeriesHost]] = {}
        self._makers = {name: _maker(context, name, given) for name, given in context.indicators.items()}
        # Series with a hole, and up to when all must be known again: their values wait until then.
        self._withheld: dict[Series, int] = {}
        # Series of which a gap may have been announced unheard: their next candle is looked up, not taken.
        self._doubted: set[Series] = set()
        self._published: dict[tuple[Series, str], dict[int, IndicatorValue]] = {}

    async def start(self) -> None:
        """Warm every indicator on every followed series, then run as a service."""
        for following in self._context.exchanges.values():
            for symbol in following.symbols:
                for timeframe in following.timeframes:
                    series = Series(following.name, symbol, timeframe)
                    self._hosts[series] = [SeriesHost(name, make) for name, make in self._makers.items()]
        await self._context.start(self._run, name="indicators", critical=True)

    async def _run(self, ready: Callable[[], None]) -> None:
        with self._context.subscribe({CLOSED, GAP, OPEN, *CHANGES}) as announced:
            await self._warm_all()
            ready()
            lost = 0
            while True:
                await self._take(await announced.get())
                if announced.lost > lost:  # what the bound dropped stands in the store
                    lost = announced.lost
                    await self._resync_all()

    # ---- warming ----

    async def _warm_all(self) -> None:
        work = _Work()
        for count, series in enumerate(self._hosts, start=1):
            told = {value.indicator: value for value in await self._store.values(series)}
            for host, values in await self._rebuilt(series):
                # What was told before this run is not told once more, should its candle not be known yet.
                newest = told.get(host.name)
                if newest is not None and (not values or newest.time > values[-1].time):
                    values = [*values, newest]
                elif values:
                    work.latest(series, values[-1])
                self._published[series, host.name] = {value.time: value for value in values}
            if count % WARM_AT_ONCE == 0:
                work = await self._commit(work)
        await self._commit(work)

    async def _rebuilt(self, series: Series) -> list[tuple[SeriesHost, list[IndicatorValue]]]:
        """Feed every host anew with what is known without a hole up to now."""
        hosts = self._hosts[series]
        intervals = list(await self._store.coverage(series))
        if not intervals or not hosts:
            return [(host, []) for host in hosts]
        start, end = intervals[-1]
        depth = max(host.depth for host in hosts)
        rows = await self._store.candles(series, last=depth, since=start, until=end)
        return [(host, host.rebuild(rows[max(0, len(rows) - host.depth) :])) for host in hosts]

    # ---- listening ----

    async def _take(self, events: list[Event]) -> None:
        work = _Work()
        changed: dict[Series, list[tuple[int, int]]] = {}
        opens: dict[Series, Candle] = {}
        for event in events:
            series = event.series
            if series not in self._hosts:
                continue
            if event.kind == OPEN:
                if event.candle is not None:  # of many previews the last one counts
                    opens[series] = event.candle
            elif event.kind == CLOSED and not any(series in each for each in (self._withheld, self._doubted, changed)):
                self._close(series, event.candle, work)
            elif event.kind == GAP:
                self._withhold(series, event.until or event.time + 1)
            else:
                changed.setdefault(series, []).append((event.time, event.until or event.time + 1))
        for series, ranges in changed.items():
            await self._resync(series, work, ranges)
        await self._commit(work)
        for series, candle in opens.items():
            self._preview(series, candle)

    def _close(self, series: Series, candle: Candle | None, work: _Work) -> None:
        for host in self._hosts[series]:
            if candle is None or candle.time <= host.last:
                continue
            value = host.commit(candle)
            self._note(series, host, value)
            work.add(series, value, VALUE)

    def _preview(self, series: Series, candle: Candle) -> None:
        if series in self._withheld:
            return
        for host in self._hosts[series]:
            if candle.time > host.last:
                self._context.publish(_event(series, host.peek(candle), PREVIEW))

    async def _resync_all(self) -> None:
        work = _Work()
        for series in self._hosts:
            await self._resync(series, work, EVERYTHING)
        await self._commit(work)
        self._doubted.update(self._hosts)

    async def _resync(self, series: Series, work: _Work, ranges: Sequence[tuple[int, int]]) -> None:
        """These ranges changed, or became known: replay what can be replayed, rebuild else, publish what differs."""
        intervals = list(await self._store.coverage(series))
        if not intervals:
            return
        reached = intervals[-1][1]
        for host in self._hosts[series]:
            # What was fed must still be known without a hole; beyond one, values wait.
            anchor = host.replayed_from or host.fed_from
            low, high = next(((low, high) for low, high in intervals if low <= anchor < high), intervals[-1])
            is_younger = not any(start <= host.replayed_from and end > host.fed_from for start, end in ranges)
            if low <= host.replayed_from < high and is_younger:
                values = host.replay(await self._store.candles(series, since=host.replayed_from + 1, until=high))
            else:
                values = host.rebuild(await self._store.candles(series, last=host.depth, since=low, until=high))
            self._publish_differences(series, host, values, work)
            reached = min(reached, high)
        self._doubted.discard(series)
        if reached < max(self._withheld.get(series, 0), intervals[-1][1]):
            self._withhold(series, intervals[-1][1])
        else:
            self._withheld.pop(series, None)

    def _withhold(self, series: Series, until: int) -> None:
        self._withheld[series] = max(until, self._withheld.get(series, 0))

    def _publish_differences(self, series: Series, host: SeriesHost, values: list[IndicatorValue], work: _Work) -> None:
        before = self._published.get((series, host.name), {})
        newest = max(before, default=0)
        for value in values:
            known = before.get(value.time)
            if known is not None and known.outputs == value.outputs:
                continue
            if known is None and value.time < min(before, default=0):
                continue
            if value.time > newest:
                work.add(series, value, VALUE)
            else:
                value = structs.replace(value, revision=(known.revision if known is not None else 0) + 1)
                work.add(series, value, CORRECTED, is_latest=value.time == newest)
            self._note(series, host, value)

    def _note(self, series: Series, host: SeriesHost, value: IndicatorValue) -> None:
        published = self._published.setdefault((series, host.name), {})
        published[value.time] = value
        while published and (oldest := next(iter(published))) <= host.replayed_from:
            del published[oldest]

    async def _commit(self, work: _Work) -> _Work:
        if work.values or work.events:
            changes = [SeriesChange(series=series, values=list(each.values())) for series, each in work.values.items()]
            await self._store.transact(Batch(changes=changes, events=work.events))
            for event in work.events:
                self._context.publish(event)
        return _Work()


class _Work:
    """Values of one wake-up, written together."""

    def __init__(self) -> None:
        self.values: dict[Series, dict[str, IndicatorValue]] = {}
        self.events: list[Event] = []

    def add(self, series: Series, value: IndicatorValue, kind: str, *, is_latest: bool = True) -> None:
        if is_latest:
            self.latest(series, value)
        self.events.append(_event(series, value, kind))

    def latest(self, series: Series, value: IndicatorValue) -> None:
        self.values.setdefault(series, {})[value.indicator] = value


def _event(series: Series, value: IndicatorValue, kind: str) -> Event:
    return Event(
        kind=kind,
        exchange=series.exchange,
        symbol=series.symbol,
        timeframe=series.timeframe,
        time=value.time,
        revision=value.revision,
        value=value,
    )


def _maker(context: Context, name: str, given: Any) -> Callable[[], Indicator]:
    """How to make the indicator that `[indicators]` calls `name`."""
    parameters = {key: value for key, value in given.items() if key != "use"}
    module, _, attribute = context.indicator_types[given.get("use", name)].partition(":")
    make: Callable[[], Indicator] = partial(getattr(import_module(module), attribute), **parameters)
    return make
