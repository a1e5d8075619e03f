"""What a REST answer says of the market: JSON to candles, trades and the time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from math import inf
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from livermore_coinbase.moments import LATEST, moment
from livermore_core import BadResponseError, Candle, Trade

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
Value = TypeVar("Value")
TradeId = Annotated[int, msgspec.Meta(le=2**63 - 1)]
"""A number beyond 64 bits is no id: nothing could count on from it."""


class CandleRow(msgspec.Struct, gc=False):
    """A candle on the wire, numbers as strings."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Start(msgspec.Struct, gc=False):
    start: int


class _Candles(msgspec.Struct):
    candles: list[CandleRow]


class _LooseCandles(msgspec.Struct):
    candles: list[msgspec.Raw]


class TradeRow(msgspec.Struct, gc=False):
    """A trade on the wire; `side` is the maker's and is not needed."""

    product_id: str
    trade_id: TradeId
    price: float
    size: float
    time: Utc


class LooseTradeRow(msgspec.Struct, gc=False):
    """A trade whose time (a leap second) or id (padded with zeros) msgspec may refuse."""

    product_id: str
    trade_id: str | TradeId
    price: float
    size: float
    time: str


class _Trades(msgspec.Struct):
    trades: list[msgspec.Raw]


class _Time(msgspec.Struct):
    epochSeconds: float
    epochMillis: float


class CandleRows(NamedTuple):
    """One answer: its candles in the asked range, ascending; buckets without a usable row; contradictions; strays."""

    rows: list[Candle]
    rejected: tuple[int, ...]
    conflicts: int
    dropped: int


_candles = msgspec.json.Decoder(_Candles, strict=False)
_loose_candles = msgspec.json.Decoder(_LooseCandles)
_candle_row = msgspec.json.Decoder(CandleRow, strict=False)
_start = msgspec.json.Decoder(_Start, strict=False)
_trades = msgspec.json.Decoder(_Trades)
_trade_row = msgspec.json.Decoder(LooseTradeRow, strict=False)
_time = msgspec.json.Decoder(_Time, strict=False)

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for text that is not what the decoder expects."""


def read(decoder: msgspec.json.Decoder[Value], body: bytes, what: str) -> Value:
    """`body` decoded. Raises BadResponseError where it has another shape."""
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise BadResponseError(f"rest.bad_response: {what}: {str(error)[:120]}") from None


def candle_rows(body: bytes, start: int, end: int, step: int) -> CandleRows:
    """The candles of the buckets with start <= time < end. A row that cannot be a candle costs only its own bucket."""
    found: dict[int, Candle] = {}
    rejected: set[int] = set()
    conflicts = dropped = 0
    misplaced = False
    for time, row in _placed(body):
        if time is None or not 0 <= time <= LATEST:
            misplaced = True
        elif not start <= time < end:
            dropped += 1
        elif row is None or time % step:
            rejected.add(time - time % step)
        else:
            conflicts += time in found and found[time] != row
            found[time] = row
    if misplaced:  # the row may belong to any bucket that is absent: none of those is proven empty
        rejected.update(bucket for bucket in range(start, end, step) if bucket not in found)
    rows = [found[time] for time in sorted(found) if time not in rejected]
    return CandleRows(rows, tuple(sorted(rejected)), conflicts, dropped)


def _placed(body: bytes) -> Iterable[tuple[int | None, Candle | None]]:
    """Each row with its bucket, None for what cannot be read."""
    try:
        rows = _candles.decode(body).candles
    except UNREADABLE:
        return [_placed_row(raw) for raw in read(_loose_candles, body, "candles").candles]
    return [(row.start, candle(row)) for row in rows]


def _placed_row(raw: msgspec.Raw) -> tuple[int | None, Candle | None]:
    try:
        row = _candle_row.decode(raw)
    except UNREADABLE:
        try:
            return _start.decode(raw).start, None
        except UNREADABLE:
            return None, None
    return row.start, candle(row)


def candle(row: CandleRow) -> Candle | None:
    """The candle of a row; None if its values cannot be one."""
    try:
        return Candle(row.start, row.open, row.high, row.low, row.close, row.volume)
    except ValueError:
        return None


def newest_trade(body: bytes, symbol: str) -> Trade | None:
    """The trade with the highest id; None where the product has none. Raises BadResponseError if none can be read."""
    raws = read(_trades, body, "trades").trades
    if not raws:
        return None
    readable = [found for raw in raws if (found := _trade(raw, symbol)) is not None]
    if not readable:
        raise BadResponseError(f"rest.bad_response: no trade of {symbol} can be read")
    return max(readable, key=lambda trade: trade.id)


def _trade(raw: msgspec.Raw, symbol: str) -> Trade | None:
    row = loose_trade(raw)
    if row is None:
        return None
    try:
        return Trade(symbol, row.trade_id, row.price, row.size, row.time.timestamp())
    except ValueError:
        return None


def loose_trade(raw: msgspec.Raw) -> TradeRow | None:
    """The row of one trade, leap seconds tolerated; None if it cannot be read."""
    try:
        row = _trade_row.decode(raw)
    except UNREADABLE:
        return None
    at, number = moment(row.time), _trade_id(row.trade_id)
    if at is None or number is None:
        return None
    return TradeRow(row.product_id, number, row.price, row.size, datetime.fromtimestamp(at, UTC))


def _trade_id(value: str | int) -> int | None:
    if isinstance(value, int):
        return value
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None


def exchange_time(body: bytes) -> float:
    """The exchange's clock; its milliseconds count where they agree with its seconds."""
    found = read(_time, body, "time")
    millis = found.epochMillis / 1000.0
    moment = millis if abs(millis - found.epochSeconds) < 2.0 else found.epochSeconds
    if not 0.0 < moment < LATEST:
        raise BadResponseError("rest.bad_response: time: no UNIX seconds")
    return moment


def number(value: str | float | None) -> float:
    """A finite number >= 0 as Coinbase writes it; 0 for anything else."""
    try:
        found = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return 0.0
    return found if 0.0 <= found < inf else 0.0
