"""`livermore watch` without a terminal: a line per close, with its value as soon as that is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from livermore_core.cli.watching.columns import UNKNOWN, change_text, price_text, stage_of, value_text
from livermore_core.cli.watching.following import Follower
from livermore_core.market.events import CLOSED, VALUE, Event, IndicatorValue
from livermore_core.market.series import Series
from livermore_core.market.timeframe import iso

# Seconds that a close waits for its value: the two are written one after the other.
PATIENCE = 1.0


class Lines:
    """Turns announcements into lines: time, symbol, timeframe, price, change, value, stage."""

    def __init__(self, seen: Follower, output: str | None) -> None:
        self._seen, self._output = seen, output
        self._waiting: dict[Series, tuple[Event, float]] = {}

    def take(self, events: Sequence[Event], now: float) -> Iterator[str]:
        """The lines that are complete by `now` (seconds of any clock that goes evenly)."""
        for event in events:
            if event.kind == CLOSED and self._seen.table.shows(event.timeframe):
                yield from self._without_value(event.series)
                self._waiting[event.series] = (event, now + PATIENCE)
            elif event.kind == VALUE and event.value is not None:
                yield from self._with_value(event, event.value)
        for series, (_, until) in list(self._waiting.items()):
            if until <= now:
                yield from self._without_value(series)

    def _with_value(self, event: Event, value: IndicatorValue) -> Iterator[str]:
        closed, _ = self._waiting.get(event.series, (None, 0.0))
        if closed is not None and closed.time == value.time and value.indicator == self._seen.table.indicator:
            del self._waiting[event.series]
            yield self._line(closed, value)

    def _without_value(self, series: Series) -> Iterator[str]:
        closed, _ = self._waiting.pop(series, (None, 0.0))
        if closed is not None:
            yield self._line(closed, None)

    def _line(self, closed: Event, value: IndicatorValue | None) -> str:
        assert closed.candle is not None
        price = closed.candle.close
        change = change_text(self._seen.table.change((closed.exchange, closed.symbol), price))
        return (
            f"{iso(closed.time)}  {closed.symbol:<10}  {closed.timeframe:>3}  {price_text(price):>12}  {change:>8}"
            f"  {value_text(value, self._output):>8}  {stage_of(value) or UNKNOWN}"
        )
