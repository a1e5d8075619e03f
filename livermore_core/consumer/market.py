"""A market as a consumer sees it: candles, latest values, and everything that is announced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

from livermore_core.consumer.candles import Candles, unknown_between
from livermore_core.consumer.events import Events
from livermore_core.consumer.latest import LatestValue, latest_values
from livermore_core.consumer.wanted import Wanted
from livermore_core.errors import NotStoredError, near
from livermore_core.loading import reader
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, moment_of, width
from livermore_core.store.finding import find_series, find_symbol
from livermore_core.store.protocol import CandleStore

Moment = float | str | datetime
NEWEST = 300
CLOSED = "this market is closed; connect again"


@asynccontextmanager
async def connect(url: str | None = None) -> AsyncIterator[Market]:
    """`async with connect(url) as market`: a store, by default that of the settings, beside whoever writes it.

    Raises StoreAbsentError where there is none yet, ConfigurationError for a URL that no store understands.
    """
    async with reader(None, url) as store:
        lent = _Lent(store)
        try:
            yield Market(cast(CandleStore, lent))
        finally:
            lent.store = None


class _Lent:
    """A store for as long as it is open: what a market and its events ask of it later is told plainly."""

    def __init__(self, store: CandleStore) -> None:
        self.store: CandleStore | None = store

    def __getattr__(self, name: str) -> Any:
        if self.store is None:
            raise RuntimeError(CLOSED)
        return getattr(self.store, name)


class Market:
    """One open store. Every method raises StoreError where it cannot be read, NotStoredError where it knows nothing."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store

    async def candles(
        self,
        symbol: str,
        timeframe: str,
        last: int | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        exchange: str | None = None,
    ) -> Candles:
        """Closed candles, ascending: since <= time < until, of these the newest `last`; all, or 300 with no bounds.

        `since` and `until` are UNIX seconds, ISO 8601 text or a datetime, UTC where they do not say.
        """
        width(timeframe)
        if last is None and since is None and until is None:
            last = NEWEST
        if last is not None and last < 0:
            raise ValueError(f"last is a number of candles, not {last}")
        start, end = (None if bound is None else moment_of(bound) for bound in (since, until))
        series = await find_series(self._store, symbol, exchange, timeframe)
        # A bucket is called unknown where it was so before or after: what is known changes while rows are read.
        before = await self._store.coverage(series)
        rows = await self._store.candles(series, last=last, since=start, until=end)
        after = await self._store.coverage(series)
        return Candles(series, tuple(rows), unknown_between(rows, WIDTHS[timeframe], (before, after)))

    async def indicators(
        self, symbol: str, timeframe: str | None = None, indicator: str | None = None, exchange: str | None = None
    ) -> list[LatestValue]:
        """The latest value of every indicator, or of one, by width of timeframe, then by name."""
        if timeframe is None:
            found = await find_symbol(self._store, symbol, exchange)
        else:
            width(timeframe)
            found = [await find_series(self._store, symbol, exchange, timeframe)]
        found.sort(key=lambda series: WIDTHS[series.timeframe])
        values = [value for series in found for value in await latest_values(self._store, series)]
        chosen = [value for value in values if indicator in (None, value.indicator)]
        if indicator is not None and not chosen:
            names = sorted({value.indicator for value in values})
            stored = f"stored: {', '.join(names) or 'none'}"
            raise NotStoredError(f"no value of {indicator!r} is stored{near(indicator, names)}; {stored}")
        return chosen

    def events(
        self,
        after: str | None = None,
        symbols: str | Iterable[str] | None = None,
        timeframes: str | Iterable[str] | None = None,
        kinds: str | Iterable[str] | None = None,
        exchange: str | None = None,
        follow: bool = True,
    ) -> Events:
        """An async iterator: a snapshot, then every event after it; or every one after a cursor ("": the oldest kept).

        Each comes at least once, per series in order; an event may repeat what the snapshot held. Symbols may be globs.
        Without `follow` it ends where the log ends now; with it, a store out of reach is asked again for ever, and no
        event is left out. While iterating, CursorExpiredError says that the log no longer reaches back to the cursor:
        read a snapshot, and go on. Raises ValueError for a word that is no kind, ConfigurationError for no timeframe.
        """
        return Events(self._store, after, Wanted(symbols, timeframes, kinds, exchange), follow)

    async def cursor(self) -> str:
        """The cursor after the newest event: read rows after it, and the events after it miss nothing."""
        return await self._store.head()

    async def series(self) -> list[Series]:
        """Every series that is stored, sorted."""
        return await self._store.series()
