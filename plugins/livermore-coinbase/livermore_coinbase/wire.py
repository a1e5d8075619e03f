"""The frames of the WebSocket as msgspec decodes them: at once where all is well, row by row where something is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from livermore_coinbase.moments import LATEST, moment
from livermore_coinbase.parse import UNREADABLE, CandleRow, TradeRow, Utc, loose_trade

Count = Callable[[str, str], None]
"""Called with a counter's name and what was met."""

MOST_ROWS = 10_000
_LONGEST_REASON = 1_000
Row = TypeVar("Row")
Number = Annotated[int, msgspec.Meta(le=2**63 - 1)]
Bucket = Annotated[int, msgspec.Meta(ge=0, le=LATEST, multiple_of=300)]


class _Event(msgspec.Struct):
    type: Literal["snapshot", "update"]


class TradesEvent(_Event):
    """Trades of one product, newest first."""

    trades: list[TradeRow]


class StreamCandleRow(CandleRow, gc=False):
    """A candle of the `candles` channel, which is always one of five minutes."""

    start: Bucket
    product_id: str


class CandlesEvent(_Event):
    """Candles so far."""

    candles: list[StreamCandleRow]


class AckEvent(msgspec.Struct):
    """What this connection is subscribed to, by channel."""

    subscriptions: dict[str, list[str]]


class Frame(msgspec.Struct, kw_only=True):
    """What every frame but an error has: its number on this connection, and when it was sent."""

    sequence_num: Number
    timestamp: Utc | None


class TradesFrame(Frame, tag_field="channel", tag="market_trades"):
    """Trades."""

    events: list[TradesEvent]


class CandlesFrame(Frame, tag_field="channel", tag="candles"):
    """Five-minute candles."""

    events: list[CandlesEvent]


class HeartbeatsFrame(Frame, tag_field="channel", tag="heartbeats"):
    """A beat; its `events` hold a Go time that nobody needs."""


class AcksFrame(Frame, tag_field="channel", tag="subscriptions"):
    """The cumulative state after a message of ours."""

    events: list[AckEvent]


class _Loose(msgspec.Struct):
    channel: str | None = None
    type: str | None = None
    message: str | None = None
    timestamp: str | None = None
    sequence_num: Number | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")


class _LooseTrades(msgspec.Struct):
    type: str
    trades: list[msgspec.Raw]


class _LooseCandles(msgspec.Struct):
    type: str
    candles: list[msgspec.Raw]


decode = msgspec.json.Decoder(TradesFrame | CandlesFrame | HeartbeatsFrame | AcksFrame, strict=False).decode
_loose = msgspec.json.Decoder(_Loose, strict=False)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_loose_trades = msgspec.json.Decoder(_LooseTrades)
_loose_candles = msgspec.json.Decoder(_LooseCandles)
_candle_row = msgspec.json.Decoder(StreamCandleRow, strict=False)
_ack_event = msgspec.json.Decoder(AckEvent)


class Refusal(Exception):
    """The server sent an error frame; its text is the argument."""


def decode_loosely(data: bytes | str, count: Count) -> Frame | None:
    """What can be kept of a frame that `decode` refused; None for one without channel or number, which is counted.

    Raises Refusal for an error frame.
    """
    try:
        loose = _loose.decode(data)
    except UNREADABLE as error:
        count("ws.bad_frame", str(error))
        return None
    if loose.channel is None:
        _without_channel(loose, count)
        return None
    if loose.sequence_num is None:
        count("ws.bad_frame", "no sequence number")
        return None
    at = moment(loose.timestamp or "")
    stamp = None if at is None else datetime.fromtimestamp(at, UTC)
    return _frame(loose.channel, loose.sequence_num, stamp, loose.events, count)


def _without_channel(loose: _Loose, count: Count) -> None:
    if loose.type == "error":
        raise Refusal((loose.message or "no reason given")[:_LONGEST_REASON])
    if loose.type is None:
        count("ws.bad_frame", "neither channel nor type")
    else:
        count("ws.unknown", f"type {loose.type}")


def _frame(channel: str, number: int, stamp: datetime | None, events: msgspec.Raw, count: Count) -> Frame:
    if channel == "market_trades":
        return TradesFrame(sequence_num=number, timestamp=stamp, events=[_trades(events, count)])
    if channel == "candles":
        return CandlesFrame(sequence_num=number, timestamp=stamp, events=[_candles(events, count)])
    if channel == "subscriptions":
        acks = [ack for raw in _list(events, count) if (ack := _one(_ack_event, raw, "acknowledgement", count))]
        return AcksFrame(sequence_num=number, timestamp=stamp, events=acks)
    if channel != "heartbeats":
        count("ws.unknown", f"channel {channel}")
    return Frame(sequence_num=number, timestamp=stamp)


def _list(events: msgspec.Raw, count: Count) -> list[msgspec.Raw]:
    return _few(_one(_raws, events, "events", count) or [], "events", count)


def _trades(events: msgspec.Raw, count: Count) -> TradesEvent:
    found = (_one(_loose_trades, raw, "trades", count) for raw in _list(events, count))
    raws = [raw for event in found if event is not None and _known(event.type, count) for raw in event.trades]
    rows = (_counted(loose_trade(raw), "trade", count) for raw in _few(raws, "trades", count))
    return TradesEvent("update", [row for row in rows if row is not None])


def _candles(events: msgspec.Raw, count: Count) -> CandlesEvent:
    found = (_one(_loose_candles, raw, "candles", count) for raw in _list(events, count))
    raws = [raw for event in found if event is not None and _known(event.type, count) for raw in event.candles]
    rows = (_one(_candle_row, raw, "candle", count) for raw in _few(raws, "candles", count))
    return CandlesEvent("update", [row for row in rows if row is not None])


def _few(raws: list[msgspec.Raw], what: str, count: Count) -> list[msgspec.Raw]:
    """`raws` unless there are more than anybody would send: one by one they would take seconds."""
    if len(raws) <= MOST_ROWS:
        return raws
    count("data.rejected", f"{len(raws)} {what} in one frame")
    return []


def _known(kind: str, count: Count) -> bool:
    if kind in ("snapshot", "update"):
        return True
    count("ws.unknown", f"event type {kind}")
    return False


def _one(decoder: msgspec.json.Decoder[Row], raw: msgspec.Raw, what: str, count: Count) -> Row | None:
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        count("data.rejected", what)
        return None


def _counted(row: Row | None, what: str, count: Count) -> Row | None:
    if row is None:
        count("data.rejected", what)
    return row
