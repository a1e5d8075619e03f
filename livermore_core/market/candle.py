"""A candle: open, high, low, close and volume of a bucket that had trades."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import msgspec

# Of hidden rows alone: the exchange took back what it had said, and that was announced.
WITHDRAWN = "withdrawn"
# Of rows that came from a file: whatever the exchange has told, or shown in trades, stands above them.
IMPORT = "import"
# A store may keep the position in this row: what is new goes to its end.
SOURCES = ("trades", "derived", "rest", WITHDRAWN, IMPORT)
VOLUME_TOLERANCE = 1e-9


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One candle of a series, checked once, here: finite, > 0, low <= open, close <= high.

    `time` is the bucket's open time in UNIX seconds; prices are in the quote, `volume` in the base currency.
    Raises ValueError where the values cannot be a candle.
    """

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    revision: int = 0
    source: str = "rest"

    def __post_init__(self) -> None:
        if not (
            0.0 < self.low <= self.open <= self.high < inf
            and self.low <= self.close <= self.high
            and 0.0 < self.volume < inf
        ):
            raise ValueError(f"no candle: {self.open}, {self.high}, {self.low}, {self.close}, {self.volume}")

    def at_revision(self, revision: int) -> Candle:
        """The same candle at another revision."""
        return msgspec.structs.replace(self, revision=revision)


def same(one: Candle, other: Candle) -> bool:
    """Whether two candles say the same: equal prices, volumes within 1e-9 of the larger."""
    return (
        one.open == other.open
        and one.high == other.high
        and one.low == other.low
        and one.close == other.close
        and abs(one.volume - other.volume) <= VOLUME_TOLERANCE * max(one.volume, other.volume)
    )


def merge(time: int, parts: Iterable[Candle], source: str = "derived") -> Candle | None:
    """The candle of the bucket at `time` from its traded parts in time order; None if there are none."""
    ordered = list(parts)
    if not ordered:
        return None
    return Candle(
        time,
        ordered[0].open,
        max(part.high for part in ordered),
        min(part.low for part in ordered),
        ordered[-1].close,
        sum(part.volume for part in ordered),
        source=source,
    )
