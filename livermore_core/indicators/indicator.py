"""The base of an indicator: an author writes a constructor and `update`, everything else is given."""

from __future__ import annotations

from math import ceil, isfinite, log

from livermore_core.indicators.block import Block
from livermore_core.market.candle import Candle

Value = float | str | int | None
# The seed of an average may weigh so much in the end: two decimals of MACD-V in every case.
SETTLED = 2.2e-5
# What a store can keep of a whole number.
LARGEST = 2**63 - 1


class Indicator(Block):
    """Fed with closed candles of one series, in order.

    `outputs` are the names of the results; `warmup` traded candles until the first full result; `settle` until it no
    longer depends on where history began (both may be set in the constructor, from its parameters). `cumulative` is a
    sum without an end: its level counts from where history began, for ever, and `settle` is about its changes.
    `wants_empty`: it runs by the clock, and is given what stands for buckets without trades too (volume 0, the close
    before as price). `dumps` is False where the state cannot be written out: `dump` raises TypeError, and a restart
    replays candles.
    """

    outputs: tuple[str, ...] = ("value",)
    warmup: int = 1
    settle: int = 1
    cumulative: bool = False
    wants_empty: bool = False
    dumps: bool = True

    def update(self, candle: Candle) -> tuple[Value, ...] | Value:
        """Take one closed candle; the results in the order of `outputs`, or None while there are none."""
        raise TypeError(f"{type(self).__name__} has no update")

    def peek(self, candle: Candle) -> tuple[Value, ...] | Value:
        """What `update` would give for an open candle; nothing is kept."""
        return self.copy().update(candle)


def settle(alpha: float, tolerance: float = SETTLED) -> int:
    """Steps until the seed of an exponential average with weight `alpha` (0..1) weighs less than `tolerance`."""
    return ceil(log(tolerance) / log(1.0 - alpha)) if alpha < 1.0 else 0


def plain(name: str, value: object) -> Value:
    """A result as it is told: a finite number of Python's own, a text, or None. Raises TypeError where it is none."""
    kind = type(value)
    if kind is float:
        return value if isfinite(value) else None  # type: ignore[arg-type, return-value]
    if value is None or kind is str or (kind is int and -LARGEST <= value <= LARGEST):  # type: ignore[operator]
        return value  # type: ignore[return-value]
    if isinstance(value, float):  # numpy's are
        return float(value) if isfinite(value) else None
    raise TypeError(f"{name} is {str(value)[:40]} of type {kind.__name__}, not a number, a text or None")
