"""What is announced: candles and indicator values, committed to the event log or, for previews, only passed on."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from livermore_core.errors import near
from livermore_core.market.candle import Candle
from livermore_core.market.series import Series

CLOSED = "candle.closed"
HEALED = "candle.healed"
REVISED = "candle.revised"
GAP = "candle.gap"
BACKFILLED = "candles.backfilled"
VALUE = "indicator.value"
CORRECTED = "indicator.corrected"
COMMITTED = frozenset({CLOSED, HEALED, REVISED, GAP, BACKFILLED, VALUE, CORRECTED})

OPEN = "candle.open"
EMPTY = "candle.empty"
PREVIEW = "indicator.preview"
KINDS = COMMITTED | {OPEN, EMPTY, PREVIEW}


def kinds_of(words: Iterable[str], among: frozenset[str] = KINDS) -> frozenset[str]:
    """The words, each of which is a kind of event. Raises ValueError for the first that is none."""
    kinds = frozenset(words)
    for kind in sorted(kinds - among):
        raise ValueError(f"{kind!r} is no kind of event{near(kind, among)}; known: {', '.join(sorted(among))}")
    return kinds


class IndicatorValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value of an indicator on a series.

    `outputs` maps each output's name to a number, a word, or None while it is undefined. `settled`: at least
    `settle` traded candles were seen, the first of them at `since`. `have` and `need` count traded candles until the
    first full result.
    `state`, of a stored value alone, is what the plugin that made it needs to go on bit for bit after a restart, and
    `cursor` that of the log up to which the state has heard; it stands outside, so that a store that is copied can
    translate it.
    """

    indicator: str
    time: int
    outputs: dict[str, float | str | int | None]
    settled: bool = False
    provisional: bool = False
    revision: int = 0
    have: int = 0
    need: int = 0
    since: int = 0
    state: str | None = None
    cursor: str = ""


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One announcement about a series. Its key in the log: exchange, symbol, timeframe, time, revision, kind.

    `candle` is None in a `candle.revised` that withdraws a candle (the bucket is EMPTY now). `candle.gap`,
    `candles.backfilled` and `candle.empty` (no trade, not in the log) speak of the range [time, until); `count` is the
    number of candles in it.
    """

    kind: str
    exchange: str
    symbol: str
    timeframe: str
    time: int
    revision: int = 0
    candle: Candle | None = None
    until: int | None = None
    count: int | None = None
    reason: str | None = None
    value: IndicatorValue | None = None

    @property
    def series(self) -> Series:
        """The series this event is about."""
        return Series(self.exchange, self.symbol, self.timeframe)
