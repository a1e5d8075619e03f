"""The table of `livermore watch`: the latest of every series, from candles, values and announcements, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from livermore_core.market.candle import Candle
from livermore_core.market.events import CLOSED, CORRECTED, VALUE, Event, IndicatorValue
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS

DAY = 86400
# Buckets of its narrowest timeframe without a close, after which a symbol stands out.
STALE_AFTER = 3

Symbol = tuple[str, str]


@dataclass
class Known:
    """The latest of one series: its newest candle, the value of the indicator shown, and how many holes it has."""

    candle: Candle | None = None
    value: IndicatorValue | None = None
    gaps: int = 0


@dataclass(frozen=True)
class Row:
    """One symbol. `change` is in percent, `age` in seconds of exchange time since the last close."""

    symbol: str
    price: float | None
    change: float | None
    values: Mapping[str, IndicatorValue]
    age: float | None
    is_stale: bool
    gaps: int


class Table:
    """What is known of the symbols that match a glob of `symbols` (of all, without one), in columns of `timeframes`."""

    def __init__(self, indicator: str, symbols: Sequence[str] = (), timeframes: Sequence[str] = ()) -> None:
        self.indicator = indicator
        self.indicators: set[str] = set()  # of which anything is stored
        self.known: dict[Series, Known] = {}
        self.day_before: dict[Symbol, float | None] = {}
        self.symbols, self.asked_timeframes = symbols, timeframes

    def wants(self, series: Series) -> bool:
        """Whether the symbol of a series is shown."""
        return not self.symbols or any(fnmatchcase(series.symbol, glob) for glob in self.symbols)

    def shows(self, timeframe: str) -> bool:
        """Whether a timeframe has a column."""
        return not self.asked_timeframes or timeframe in self.asked_timeframes

    @property
    def timeframes(self) -> list[str]:
        """The timeframes that have a column, narrow ones first."""
        return sorted({each.timeframe for each in self.known if self.shows(each.timeframe)}, key=WIDTHS.__getitem__)

    def take(self, event: Event) -> bool:
        """Apply an announcement; False where it does not tell all, and the series must be read anew."""
        known = self.known.get(event.series)
        if known is None:
            return not self.wants(event.series)
        if event.kind == CLOSED:
            if known.candle is None or known.candle.time < event.time:
                known.candle = event.candle
            return True
        if event.kind in (VALUE, CORRECTED) and event.value is not None:
            is_newest = known.value is None or known.value.time <= event.value.time
            if event.value.indicator == self.indicator and is_newest:
                known.value = event.value
            return True
        return False

    def newest(self, symbol: Symbol) -> tuple[int, float] | None:
        """When the last close of a symbol was, and the price; of several timeframes the narrowest one's."""
        ended = [
            (known.candle.time + WIDTHS[series.timeframe], -WIDTHS[series.timeframe], known.candle.close)
            for series, known in self._of(symbol).items()
            if known.candle is not None
        ]
        if not ended:
            return None
        end, _, price = max(ended)
        return end, price

    def change(self, symbol: Symbol, price: float) -> float | None:
        """Percent against the price 24 hours before the last close."""
        before = self.day_before.get(symbol)
        return None if before is None else 100.0 * (price / before - 1.0)

    def times(self, said: Mapping[str, float]) -> dict[str, float]:
        """The time of each exchange: what it said, but at least that of its last close."""
        times = dict(said)
        for series, known in self.known.items():
            if known.candle is not None and series.exchange in times:
                end = known.candle.time + WIDTHS[series.timeframe]
                times[series.exchange] = max(times[series.exchange], end)
        return times

    def rows(self, times: Mapping[str, float]) -> list[Row]:
        """A row per symbol, at these times of the exchanges."""
        symbols = sorted({series[:2] for series in self.known})
        is_mixed = len({exchange for exchange, _ in symbols}) > 1
        return [self._row(symbol, times.get(symbol[0]), is_mixed) for symbol in symbols]

    def _row(self, symbol: Symbol, now: float | None, is_mixed: bool) -> Row:
        series, newest = self._of(symbol), self.newest(symbol)
        age = None if newest is None or now is None else now - newest[0]
        narrowest = min(WIDTHS[each.timeframe] for each in series)
        return Row(
            symbol=":".join(symbol) if is_mixed else symbol[1],
            price=None if newest is None else newest[1],
            change=None if newest is None else self.change(symbol, newest[1]),
            values={each.timeframe: known.value for each, known in series.items() if known.value is not None},
            age=age,
            is_stale=age is not None and age > STALE_AFTER * narrowest,
            gaps=sum(known.gaps for known in series.values()),
        )

    def _of(self, symbol: Symbol) -> dict[Series, Known]:
        every = (Series(*symbol, timeframe) for timeframe in WIDTHS)
        return {series: self.known[series] for series in every if series in self.known}
