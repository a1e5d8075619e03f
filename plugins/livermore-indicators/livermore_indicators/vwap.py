"""Anchored VWAP: what a unit cost on average since a day, a week or an instant began."""

from __future__ import annotations

from datetime import UTC, datetime

from livermore_core import Candle, Indicator
from livermore_indicators.parameters import check_lengths

DAY, WEEK, FOR_EVER = 86_400, 604_800, 1 << 62
# 1970-01-05 was a Monday.
PERIODS = {"day": (0, DAY), "week": (4 * DAY, WEEK)}
MINUTE = 60


class AnchoredVwap(Indicator):
    """sum((high + low + close) / 3 * volume) / sum(volume) since the anchor, in the quote currency.

    `anchor`: "day" (00:00 UTC), "week" (Monday 00:00 UTC), or an instant: ISO 8601 (UTC where it does not say) or UNIX
    seconds. A candle belongs where it opens. Source: TradingView `ta.vwap` of hlc3, with its anchor.

    The sum has no fading memory: a value is right once history reaches back to its anchor. `reach` candles are taken to
    do so, and are what `settle` is: by default a day or a week of 1m candles, for an instant a week; say less for wider
    timeframes, more for an instant longer ago. After an instant that history does not reach, undefined.
    """

    def __init__(self, anchor: str | int = "day", reach: int | None = None) -> None:
        self.start, self.period = PERIODS.get(str(anchor)) or (_instant(anchor), FOR_EVER)
        usual = min(self.period, WEEK) // MINUTE
        reach = usual if reach is None else reach
        check_lengths(reach=reach)
        self.is_reached = self.period != FOR_EVER
        self.session = -1
        self.paid, self.volume = 0.0, 0.0
        self.settle = reach

    def update(self, candle: Candle) -> float | None:
        """Take one closed candle."""
        session = (candle.time - self.start) // self.period
        if session != self.session:
            self.session, self.paid, self.volume = session, 0.0, 0.0
        self.paid += (candle.high + candle.low + candle.close) / 3 * candle.volume
        self.volume += candle.volume
        self.is_reached = self.is_reached or candle.time <= self.start
        return self.paid / self.volume if self.is_reached and session >= 0 and self.volume else None


def _instant(anchor: object) -> int:
    """UNIX seconds of an anchor that is no period."""
    if isinstance(anchor, bool) or not isinstance(anchor, int | str):
        raise TypeError(f"anchor must be a text or UNIX seconds, was {anchor!r}")
    try:
        moment = datetime.fromtimestamp(anchor, UTC) if isinstance(anchor, int) else datetime.fromisoformat(anchor)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f'anchor must be "day", "week" or a time like 2026-01-05T14:30:00Z, was {anchor!r}') from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
