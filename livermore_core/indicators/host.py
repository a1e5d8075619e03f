"""Keeps one indicator of one series true: commits, previews, and exact replay when candles change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from livermore_core.indicators.indicator import Indicator, Value
from livermore_core.market.candle import Candle
from livermore_core.market.events import IndicatorValue

HORIZON = 64


class SeriesHost:
    """`head` has seen every candle, the base all but the last HORIZON: a change there is replayed exactly."""

    def __init__(self, name: str, make: Callable[[], Indicator]) -> None:
        self.name, self._make = name, make
        self.head = make()
        self.warmup, self.settle, self._outputs = self.head.warmup, self.head.settle, self.head.outputs
        self.seen = 0
        self.last = 0
        self._base = make()
        self._base_seen = 0
        self._base_last = 0
        self._recent: list[Candle] = []

    @property
    def replayed_from(self) -> int:
        """Candles after this time can be replayed; a change at or before it needs a `rebuild`."""
        return self._base_last

    def commit(self, candle: Candle) -> IndicatorValue:
        """Take the next closed candle, later than all before."""
        value = self._value(candle, self.head.update(candle), self.seen + 1)
        self.seen += 1
        self.last = candle.time
        self._recent.append(candle)
        if len(self._recent) > HORIZON:
            self._retire(self._recent.pop(0))
        return value

    def peek(self, candle: Candle) -> IndicatorValue:
        """The provisional value of an open candle; nothing is kept."""
        return self._value(candle, self.head.peek(candle), self.seen + 1, provisional=True)

    def replay(self, candles: Sequence[Candle]) -> list[IndicatorValue]:
        """Take `candles` as all that came after `replayed_from`; the value of each, in order."""
        self.head, self.seen, self.last = self._base.copy(), self._base_seen, self._base_last
        self._recent = []
        return [self.commit(candle) for candle in candles]

    def rebuild(self, candles: Sequence[Candle]) -> list[IndicatorValue]:
        """Start anew from these candles; the values that can still be replayed, in order."""
        self._base, self._base_seen, self._base_last = self._make(), 0, 0
        for candle in candles[: max(0, len(candles) - HORIZON)]:
            self._retire(candle)
        return self.replay(candles[max(0, len(candles) - HORIZON) :])

    def _retire(self, candle: Candle) -> None:
        self._base.update(candle)
        self._base_seen += 1
        self._base_last = candle.time

    def _value(
        self, candle: Candle, result: tuple[Value, ...] | Value, seen: int, provisional: bool = False
    ) -> IndicatorValue:
        if result is None:
            results: tuple[Value, ...] = (None,) * len(self._outputs)
        else:
            results = result if isinstance(result, tuple) else (result,)
        return IndicatorValue(
            indicator=self.name,
            time=candle.time,
            outputs={name: _finite(value) for name, value in zip(self._outputs, results, strict=True)},
            settled=seen >= self.settle,
            provisional=provisional,
            have=min(seen, self.warmup),
            need=self.warmup,
        )


def _finite(value: Value) -> Value:
    """None for what is no number: an undefined value is never NaN."""
    return None if isinstance(value, float) and not isfinite(value) else value
