"""Keeps one indicator of one series true: commits, previews, and exact replay when candles change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import NamedTuple

from livermore_core.indicators.indicator import Indicator, Value
from livermore_core.market.candle import Candle
from livermore_core.market.events import IndicatorValue

HORIZON = 64


class SeriesHost:
    """`head` has seen every candle; a snapshot HORIZON to twice HORIZON candles back lets a change be replayed exactly.

    A younger snapshot waits HORIZON candles after it, to take its place.
    """

    def __init__(self, name: str, make: Callable[[], Indicator]) -> None:
        self.name, self._make = name, make
        self.head = make()
        self.warmup, self.settle, self._outputs = self.head.warmup, self.head.settle, self.head.outputs
        # Candles to rebuild from, so that every value that can be replayed is a settled one.
        self.depth = self.settle + HORIZON
        # The first candle that was fed.
        self.fed_from = 0
        self.seen = 0
        self.last = 0
        self._nothing: dict[str, Value] = dict.fromkeys(self._outputs)
        self._base = _Snapshot(make(), 0, 0)
        self._younger: _Snapshot | None = None
        self._since = 0

    @property
    def replayed_from(self) -> int:
        """Candles after this time can be replayed; a change at or before it needs a `rebuild`."""
        return self._base.last

    def commit(self, candle: Candle) -> IndicatorValue:
        """Take the next closed candle, later than all before."""
        if not self.seen:
            self.fed_from = candle.time
        value = self._value(candle, self.head.update(candle), self.seen + 1)
        self.seen += 1
        self.last = candle.time
        self._since += 1
        if self._since >= HORIZON:
            self._advance()
        return value

    def peek(self, candle: Candle) -> IndicatorValue:
        """The provisional value of an open candle; nothing is kept."""
        return self._value(candle, self.head.peek(candle), self.seen + 1, provisional=True)

    def replay(self, candles: Sequence[Candle]) -> list[IndicatorValue]:
        """Take `candles` as all that came after `replayed_from`; the value of each, in order."""
        self.head, self.seen, self.last = self._base.head.copy(), self._base.seen, self._base.last
        self._younger, self._since = None, 0
        return [self.commit(candle) for candle in candles]

    def rebuild(self, candles: Sequence[Candle]) -> list[IndicatorValue]:
        """Start anew from these candles; the values that can still be replayed, in order."""
        head, beyond = self._make(), max(0, len(candles) - HORIZON)
        self.fed_from = candles[0].time if candles else 0
        for candle in candles[:beyond]:
            head.update(candle)
        self._base = _Snapshot(head, beyond, candles[beyond - 1].time if beyond else 0)
        return self.replay(candles[beyond:])

    def _advance(self) -> None:
        if self._younger is not None:
            self._base = self._younger
        self._younger, self._since = _Snapshot(self.head.copy(), self.seen, self.last), 0

    def _value(
        self, candle: Candle, result: tuple[Value, ...] | Value, seen: int, provisional: bool = False
    ) -> IndicatorValue:
        if result is None:
            outputs = self._nothing
        else:
            outputs = self._nothing.copy()
            for name, value in zip(self._outputs, result if isinstance(result, tuple) else (result,), strict=True):
                if not isinstance(value, float) or isfinite(value):  # an undefined value is never NaN
                    outputs[name] = value
        return IndicatorValue(
            indicator=self.name,
            time=candle.time,
            outputs=outputs,
            settled=seen >= self.settle,
            provisional=provisional,
            have=seen if seen < self.warmup else self.warmup,
            need=self.warmup,
            since=self.fed_from,
        )


class _Snapshot(NamedTuple):
    """The state of the indicator after `seen` candles, the last of them at `last`."""

    head: Indicator
    seen: int
    last: int
