"""Which events a consumer wants: by symbol, timeframe, kind and exchange."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from livermore_core.market.events import CLOSED, COMMITTED, CORRECTED, HEALED, REVISED, VALUE, Event, kinds_of
from livermore_core.market.series import Series
from livermore_core.market.timeframe import width
from livermore_core.store.finding import check_exchange, find_wanted
from livermore_core.store.protocol import CandleStore

OF_CANDLES = frozenset({CLOSED, HEALED, REVISED})
OF_VALUES = frozenset({VALUE, CORRECTED})

Words = str | Iterable[str] | None


class Wanted:
    """A filter; what is None lets everything pass. Raises ValueError for no kind, ConfigurationError for no timeframe.

    `candles` and `values`: whether events with any of them are wanted.
    """

    def __init__(self, symbols: Words, timeframes: Words, kinds: Words, exchange: str | None) -> None:
        self._symbols, self._timeframes, self._exchange = _words(symbols), _words(timeframes), exchange
        self._kinds = COMMITTED if kinds is None else kinds_of(_words(kinds) or (), COMMITTED)
        for timeframe in self._timeframes or ():
            width(timeframe)
        self.candles, self.values = bool(self._kinds & OF_CANDLES), bool(self._kinds & OF_VALUES)

    async def resolve(self, store: CandleStore) -> None:
        """Understand the symbols as the store does. Raises NotStoredError for one, or an exchange, it cannot know."""
        if self._exchange is not None:
            await check_exchange(store, self._exchange)
        if self._symbols is not None:
            self._symbols = await find_wanted(store, self._symbols)

    def of(self, series: Series) -> bool:
        """Whether anything of the series is wanted."""
        return (
            self._exchange in (None, series.exchange)
            and (self._timeframes is None or series.timeframe in self._timeframes)
            and (self._symbols is None or any(fnmatchcase(series.symbol, each) for each in self._symbols))
        )

    def has(self, event: Event) -> bool:
        """Whether the event is wanted."""
        return event.kind in self._kinds and self.of(event.series)


def _words(given: Words) -> list[str] | None:
    return None if given is None else [given] if isinstance(given, str) else list(given)
