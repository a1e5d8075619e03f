"""What the trades of one symbol prove about its 1m buckets: closing by dense ids and an unbroken connection."""

from __future__ import annotations

from enum import Enum

from livermore_core.market.candle import Candle
from livermore_core.market.trade import Trade

STEP = 60


class Unproven(Enum):
    """Why a bucket could not be closed by its trades; the value is the reason code."""

    UNACKNOWLEDGED = "ws.unacknowledged"
    PARTIAL = "ws.partial"
    LOST = "ws.seq_gap"


class Partial:
    """The candle of a bucket so far, folded trade by trade in the order of their ids."""

    __slots__ = ("close", "high", "low", "open", "time", "volume")

    def __init__(self, time: int, price: float, size: float) -> None:
        self.time = time
        self.open = self.high = self.low = self.close = price
        self.volume = size

    def fold(self, price: float, size: float) -> None:
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size

    def join(self, later: Candle | Partial) -> None:
        """Add a later part of the same bucket."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume

    def candle(self, source: str = "trades") -> Candle:
        return Candle(self.time, self.open, self.high, self.low, self.close, self.volume, 0, source)


class Tape:
    """The trades of one symbol, across connections.

    A bucket is proven by (1) an acknowledged subscription with no frame missing since, and (2) ids that run on without
    a hole from before its start. A later trade with the next id confirms what (1) alone had to vouch for.
    """

    def __init__(self) -> None:
        self.last_id = -1
        self.last_time = 0.0
        self.sparse = False
        self.acknowledged = False
        self.buckets: dict[int, Partial] = {}
        self.closed_until = 0
        # What the trades made of the last minute that had any, proven or not.
        self.last_closed: Candle | None = None
        # The time of the trade before the last jump of the ids, if no missing frame explains that.
        self.jumped_since: float | None = None
        self.unconfirmed: list[int] = []
        # Buckets that start after this moment can be proven; None while nothing is known at all.
        self._dense_from: float | None = None
        # Frames are missing since the last trade: what came after it is not proven until the next one.
        self.doubtful = True

    def connected(self) -> None:
        """A new connection: its subscription is not acknowledged yet, and trades before it may be missing."""
        self.acknowledged = False
        self.doubtful = True

    def subscribed(self, clock: float) -> None:
        """The subscription is acknowledged at `clock`; a symbol without any trade is dense from here."""
        self.acknowledged = True
        if self._dense_from is None:
            self._dense_from = clock
            self.doubtful = False

    def lost(self) -> None:
        """Frames of this connection are missing here."""
        self.doubtful = True

    def trade(self, trade: Trade) -> bool:
        """Take the next trade by ascending id; True where ids jumped: trades are missing just before it."""
        if trade.id <= self.last_id:
            if trade.id == self.last_id:
                self.confirm()
            return False
        # Where ids prove nothing, missing frames do.
        jumped = self.doubtful if self.sparse else trade.id != self.last_id + 1
        hole = self.last_id >= 0 and jumped
        # The very first trade opens the dense run at its own time, as the one after a hole does.
        if hole or self.last_id < 0:
            self._dense_from = trade.time
        if hole:
            self.jumped_since = None if self.doubtful else self.last_time
        else:
            self.unconfirmed.clear()
        self.doubtful = False
        self.last_id = trade.id
        if trade.time > self.last_time:
            self.last_time = trade.time
        if trade.time < self.closed_until:  # decided already: REST says what the bucket is
            return hole
        bucket = int(trade.time // STEP) * STEP
        partial = self.buckets.get(bucket)
        if partial is None:
            self.buckets[bucket] = Partial(bucket, trade.price, trade.size)
        else:
            partial.fold(trade.price, trade.size)
        return hole

    def confirm(self) -> None:
        """The exchange's last trade is the one we have: every bucket so far stands."""
        self.doubtful = False
        self.unconfirmed.clear()

    def retract(self) -> list[int]:
        """The buckets that were closed on (1) alone and turned out to miss trades; ascending open times."""
        retracted, self.unconfirmed = self.unconfirmed, []
        return retracted

    def close(self, bucket: int) -> Candle | Unproven | None:
        """Close [bucket, bucket + 60): its candle, None if proven EMPTY, or why it is unproven."""
        end = bucket + STEP
        candle = self.skip(bucket)
        if not self.acknowledged:
            return Unproven.UNACKNOWLEDGED
        if self._dense_from is None or self._dense_from >= bucket:
            return Unproven.PARTIAL
        if self.last_time < end:
            if self.doubtful:
                return Unproven.LOST
            self.unconfirmed.append(bucket)
        return candle

    def skip(self, bucket: int) -> Candle | None:
        """Let [bucket, bucket + 60) be decided by others; what its trades say of it."""
        self.closed_until = max(self.closed_until, bucket + STEP)
        partial = self.buckets.pop(bucket, None)
        if partial is None:
            return None
        self.last_closed = partial.candle()
        return self.last_closed
