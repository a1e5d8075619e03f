"""Keeps one indicator of one series true: commits, previews, and exact replay when candles change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import NamedTuple

import msgspec

from livermore_core.indicators.empty import SKIP, filled
from livermore_core.indicators.indicator import Indicator, Value, plain
from livermore_core.market.candle import Candle
from livermore_core.market.events import IndicatorValue

HORIZON = 64
# Where buckets without trades are filled: from so many back on, however few of them had trades.
MOST_BUCKETS = 20_000


class SeriesHost:
    """`head` has seen every candle; a snapshot HORIZON to twice HORIZON candles back lets a change be replayed exactly.

    A younger snapshot waits HORIZON candles after it, to take its place. `width` is that of the series in seconds,
    `empty` what stands for its buckets without trades: "skip" (nothing), "carry" or "flat".
    """

    def __init__(self, name: str, make: Callable[[], Indicator], *, width: int = 60, empty: str = SKIP) -> None:
        self.name, self._make = name, make
        self.width, self.empty = width, empty
        self.head = make()
        self.warmup, self.settle, self._outputs = self.head.warmup, self.head.settle, self.head.outputs
        # Candles to rebuild from, so that every value that can be replayed is a settled one.
        self.depth = self.settle + HORIZON
        self.dumps = self.head.dumps
        # The first candle that was fed.
        self.fed_from = 0
        # Candles with trades; time and close of what was fed last.
        self.seen = 0
        self.last = 0
        self._close = 0.0
        self._nothing: dict[str, Value] = dict.fromkeys(self._outputs)
        self._base = _Snapshot(make(), 0, 0, 0.0)
        self._younger: _Snapshot | None = None
        self._since = 0
        self._state: str | None = None

    @property
    def replayed_from(self) -> int:
        """Candles after this time can be replayed; a change at or before it needs a `rebuild`."""
        return self._base.last

    @property
    def replay_since(self) -> int:
        """The candles from this time on are what `replay` takes."""
        return self._base.last + 1 if self._base.last else self.fed_from

    @property
    def anchor(self) -> int:
        """The candle that a replay stands on: none can be made where it is not known any more. 0: nothing was fed."""
        return self._base.last or self.fed_from

    def needs_rebuild(self, known: tuple[int, int], changed: Iterable[tuple[int, int]]) -> str | None:
        """Why a replay would not do, of what is known without a hole, after changes of these [start, end)."""
        if not known[0] <= self.anchor < known[1]:
            return "what it was made of is not known any more" if self.anchor else "nothing was fed"
        for start, end in changed:
            if start <= self.replayed_from and end > self.fed_from:
                return "candles below it have changed"
            if start < self.fed_from and self.seen < self.settle:
                return "older candles have come, and it was not settled"
        return None

    def commit(self, candle: Candle) -> IndicatorValue:
        """Take the next closed candle, later than all before."""
        if not self.seen:
            self.fed_from = candle.time
        seen = self.seen + 1 if candle.volume else self.seen
        value = self._value(candle, self.head.update(candle), seen)
        self.seen, self.last, self._close = seen, candle.time, candle.close
        self._since += 1
        if self._since >= HORIZON:
            self._advance()
        return value

    def commit_all(self, candles: Iterable[Candle], until: int) -> list[IndicatorValue]:
        """Take the next closed candles, and what stands for the buckets without one up to `until` (UNIX seconds)."""
        if self.empty != SKIP:
            candles = filled(candles, self.width, self.empty, self._before(), until)
        return [self.commit(candle) for candle in candles]

    def peek(self, candle: Candle) -> IndicatorValue:
        """The provisional value of an open candle; nothing is kept."""
        head = self.head
        if self.empty != SKIP and candle.time > self.last + self.width:
            head = head.copy()
            for bucket in filled((), self.width, self.empty, self._before(), candle.time):
                head.update(bucket)
        return self._value(candle, head.peek(candle), self.seen + 1, provisional=True)

    def replay(self, candles: Iterable[Candle], until: int = 0) -> list[IndicatorValue]:
        """Take `candles` as all that are there from `replay_since` on; the value of each, in order."""
        self.head, self.seen, self.last, self._close = self._base._replace(head=self._base.head.copy())
        self._younger, self._since = None, 0
        return self.commit_all(candles, until)

    def rebuild(self, candles: Iterable[Candle], until: int = 0) -> list[IndicatorValue]:
        """Start anew from these candles; the values that can still be replayed, in order."""
        if self.empty != SKIP:
            candles = [candle for candle in candles if candle.time >= until - MOST_BUCKETS * self.width]
        rows = list(filled(candles, self.width, self.empty, None, until))
        head, beyond = self._make(), max(0, len(rows) - HORIZON)
        self.fed_from = rows[0].time if rows else 0
        for candle in rows[:beyond]:
            head.update(candle)
        seen = sum(candle.volume > 0.0 for candle in rows[:beyond])
        self._take_as_base(_Snapshot(head, seen, rows[beyond - 1].time, rows[beyond - 1].close) if beyond else None)
        return self.replay(rows[beyond:])

    # ---- what outlives the process ----

    @property
    def state(self) -> str | None:
        """What `resume` goes on from, as JSON: the older snapshot. None where the indicator cannot be dumped."""
        if self._state is None and self.dumps:
            base = self._base
            try:
                head = base.head.dump().encode()
            except Exception:  # somebody else's `dump`, or something that JSON has not, in an attribute
                self.dumps = False
                return None
            self._state = msgspec.json.encode(
                _Saved(msgspec.Raw(head), base.seen, base.last, base.close, self.fed_from)
            ).decode()
        return self._state

    def resume(self, state: str) -> None:
        """Stand where a host of this indicator stood; the candles from `replay_since` on have to be replayed.

        Raises ValueError where this is no state of this indicator.
        """
        try:
            saved = msgspec.json.decode(state, type=_Saved)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        head = self._make()
        head.load(bytes(saved.head).decode())
        self.fed_from = saved.fed_from
        self._take_as_base(_Snapshot(head, saved.seen, saved.last, saved.close))
        self.head, self.seen, self.last, self._close = self._base._replace(head=head.copy())

    def _take_as_base(self, base: _Snapshot | None) -> None:
        self._base, self._state = base or _Snapshot(self._make(), 0, 0, 0.0), None

    def _before(self) -> tuple[int, float] | None:
        return (self.last, self._close) if self.last else None

    def _advance(self) -> None:
        if self._younger is not None:
            self._take_as_base(self._younger)
        self._younger, self._since = _Snapshot(self.head.copy(), self.seen, self.last, self._close), 0

    def _value(
        self, candle: Candle, result: tuple[Value, ...] | Value, seen: int, provisional: bool = False
    ) -> IndicatorValue:
        if result is None:
            outputs = self._nothing
        else:
            outputs = self._nothing.copy()
            for name, value in zip(self._outputs, result if isinstance(result, tuple) else (result,), strict=True):
                # Nearly all are; `plain` is for the rest.
                is_plain = isfinite(value) if type(value) is float else type(value) is str
                outputs[name] = value if is_plain else plain(name, value)
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
    """The state of the indicator after `seen` candles with trades; time and close of what came last."""

    head: Indicator
    seen: int
    last: int
    close: float


class _Saved(msgspec.Struct, frozen=True):
    """A snapshot as it is stored."""

    head: msgspec.Raw
    seen: int
    last: int
    close: float
    fed_from: int
