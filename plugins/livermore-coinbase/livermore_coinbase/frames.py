"""What a WebSocket frame says: order checked by its sequence number, content as messages of the kit. Pure."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from operator import attrgetter
from time import monotonic

from livermore_coinbase.moments import LATEST
from livermore_coinbase.parse import UNREADABLE
from livermore_coinbase.text import shown
from livermore_coinbase.wire import (
    MOST_ROWS,
    AckEvent,
    AcksFrame,
    CandlesEvent,
    CandlesFrame,
    Frame,
    TradesEvent,
    TradesFrame,
    decode,
    decode_loosely,
)
from livermore_core import BadResponseError, Candle, CandleUpdate, Heartbeat, Lost, Message, Subscribed, Trade

LOG = logging.getLogger("livermore_coinbase")
STREAM_TIMEFRAME = "5m"
MOST_BAD_FRAMES, BAD_FRAMES_WINDOW = 20, 60.0
LONGEST_JUMP = 86_400.0
"""Seconds from one stamp to the next: no connection lives through more. Exchange time never goes back, and each minute
that it passes is closed, so one wrong stamp would end the true picture for good."""
_MOST_KINDS, _LONGEST_KIND = 64, 200
_by_id = attrgetter("trade_id")
_by_start = attrgetter("start")


class Interpreter:
    """Reads the frames of one connection. `names` maps each product id on the wire to the symbol wished for."""

    def __init__(
        self,
        names: Mapping[str, str],
        counts: Counter[str] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.acknowledged: frozenset[str] = frozenset()
        self.acknowledgements = 0
        self._names = names
        self._counts: Counter[str] = Counter() if counts is None else counts
        self._clock = clock
        self._sequence = -1
        self._stale, self._stale_at = 0, -1
        self._stamp, self._latest = 0.0, float(LATEST)
        self._bad: deque[float] = deque(maxlen=MOST_BAD_FRAMES)
        self._met: set[str] = set()
        self._rejected = 0

    def read(self, data: bytes | str) -> list[Message]:
        """The messages of one frame: a hole before it, its content, its stamp. Raises Refusal for an error frame."""
        frame: Frame | None
        try:
            frame = decode(data)
        except UNREADABLE:
            frame = decode_loosely(data, self.count)
            if frame is None:
                return []
            if type(frame) is not TradesFrame:
                self._rejected = 0
        messages: list[Message] = []
        step = frame.sequence_num - self._sequence
        if step != 1:
            if step < 1:
                self._out_of_order()
                return messages
            messages.append(Lost(step - 1))
        self._sequence = frame.sequence_num
        if type(frame) is TradesFrame:
            self._trades(frame.events, messages)
            if self._rejected:  # a trade that cannot be read is missing like one that did not arrive
                messages.append(Lost(1))
                self._rejected = 0
        elif type(frame) is CandlesFrame:
            self._candles(frame.events, messages)
            self._rejected = 0
        elif type(frame) is AcksFrame:
            self._acknowledge(frame.events, messages)
        if frame.timestamp is not None:
            self._stamped(frame.timestamp.timestamp(), messages)
        return messages

    def count(self, what: str, detail: str) -> None:
        """Count what cannot be used; the first of a kind is logged. Raises BadResponseError at 20 bad frames/min."""
        self._counts[what] += 1
        self._rejected += what == "data.rejected"
        kind = f"{what} {detail[:_LONGEST_KIND]}" if what == "ws.unknown" else what
        if kind not in self._met and len(self._met) < _MOST_KINDS:
            self._met.add(kind)
            LOG.warning("%s: %s", what, shown(detail))
        if what == "ws.bad_frame":
            self._bad_frame(detail)

    def _stamped(self, stamp: float, messages: list[Message]) -> None:
        if not 0.0 < stamp <= self._latest:
            self.count("ws.bad_frame", f"a stamp of {stamp:.0f} after one of {self._stamp:.0f}")
            return
        messages.append(Heartbeat(stamp))
        if stamp > self._stamp:
            self._stamp, self._latest = stamp, min(LATEST, stamp + LONGEST_JUMP)

    def _bad_frame(self, why: str) -> None:
        now = self._clock()
        self._bad.append(now)
        if len(self._bad) == MOST_BAD_FRAMES and now - self._bad[0] < BAD_FRAMES_WINDOW:
            raise BadResponseError(f"ws.bad_frame: {MOST_BAD_FRAMES} within a minute, the last: {shown(why)}")

    def _trades(self, events: list[TradesEvent], messages: list[Message]) -> None:
        rows = events[0].trades if len(events) == 1 else [row for event in events for row in event.trades]
        if len(rows) > 1:
            if len(rows) > MOST_ROWS:
                self.count("data.rejected", f"{len(rows)} trades in one frame")
                return
            rows.sort(key=_by_id)
        names = self._names
        for row in rows:
            symbol = names.get(row.product_id)
            if symbol is None:
                self._counts["ws.unwanted"] += 1
                continue
            at = row.time.timestamp()
            try:
                if at > self._latest:
                    raise ValueError("from the future")
                messages.append(Trade(symbol, row.trade_id, row.price, row.size, at))
            except ValueError:
                self.count("data.rejected", f"trade {row.trade_id} of {symbol}")

    def _candles(self, events: list[CandlesEvent], messages: list[Message]) -> None:
        rows = sorted((row for event in events for row in event.candles), key=_by_start)
        if len(rows) > MOST_ROWS:
            self.count("data.rejected", f"{len(rows)} candles in one frame")
            return
        for row in rows:
            symbol = self._names.get(row.product_id)
            if symbol is None:
                self._counts["ws.unwanted"] += 1
                continue
            try:
                found = Candle(row.start, row.open, row.high, row.low, row.close, row.volume)
            except ValueError:
                self.count("data.rejected", f"candle {row.start} of {symbol}")
            else:
                messages.append(CandleUpdate(symbol, STREAM_TIMEFRAME, found))

    def _acknowledge(self, events: list[AckEvent], messages: list[Message]) -> None:
        self.acknowledgements += 1
        flowing = {name for event in events for name in event.subscriptions.get("market_trades", ())}
        new = {self._names[name] for name in flowing if name in self._names} - self.acknowledged
        if new:
            self.acknowledged |= new
            messages.append(Subscribed(frozenset(new)))

    def _out_of_order(self) -> None:
        """A frame seen before, or overtaken. A long run of them means that the numbers began anew."""
        self._counts["ws.out_of_order"] += 1
        self._rejected = 0  # what cannot be read here has been read before, or is missed by its number
        if self._stale_at != self._sequence:
            self._stale, self._stale_at = 0, self._sequence
        self._stale += 1
        if self._stale >= MOST_BAD_FRAMES:
            raise BadResponseError("ws.bad_frame: the sequence numbers went back and stayed there")
