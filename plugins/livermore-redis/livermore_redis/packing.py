"""How candles, coverage and events lie in the server: fixed records, in blocks that are addressed by open time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import ge
from struct import Struct
from struct import error as StructError

import msgspec
from msgspec.structs import astuple

from livermore_core import Candle, Event, IndicatorValue, Intervals, Series, StoreCorruptError, width

# Buckets in a block: one field of the hash of a series. 64 full records fill a size class of the server's allocator.
BLOCK = 64
SOURCES = ("trades", "derived", "rest", "withdrawn", "import")
HIDDEN = 0x80
KINDS = {source: kind for kind, source in enumerate(SOURCES)}
HIDDEN_KINDS = {source: kind | HIDDEN for source, kind in KINDS.items()}
# Slot in its block, source and whether hidden, revision, then open, high, low, close, volume: exact to the bit.
RECORD = Struct("<BBI5d")
_INTERVAL = Struct("<dd")
_TEXT = Struct(">BI")
VERSION = 1
# What a float64, and so the server's scripts, can name exactly.
LAST_TIME = 1 << 53


def blocks(series: Series, rows: Sequence[Candle], *, hidden: bool) -> dict[int, bytes]:
    """Candles as the blocks in which they lie, each in order of slots; of several of one time the last one counts.

    Raises ValueError for what cannot be one of this series.
    """
    step, kinds, pack = width(series.timeframe), HIDDEN_KINDS if hidden else KINDS, RECORD.pack
    times = [row.time for row in rows]
    if any(map(ge, times, times[1:])):
        by_time = dict(zip(times, rows, strict=True))
        times = sorted(by_time)
        rows = [by_time[time] for time in times]
    for time in times:
        if time % step or abs(time) > LAST_TIME:
            raise ValueError(f"{series}: {time} is no open time of {series.timeframe}")
    try:
        packed = b"".join(
            [
                pack(
                    row.time // step % BLOCK, kinds[row.source], row.revision,
                    row.open, row.high, row.low, row.close, row.volume,
                )
                for row in rows
            ]
        )  # fmt: skip
    except (KeyError, StructError) as error:
        raise ValueError(f"{series}: a source or a revision that no record has: {error}") from None
    found, at, span = {}, 0, step * BLOCK
    while at < len(times):
        block, first = times[at] // span, at
        at = bisect_left(times, (block + 1) * span, at)
        found[block] = packed[first * RECORD.size : at * RECORD.size]
    return found


def merged(old: bytes, new: bytes) -> bytes:
    """A block of the records of two, in order of slots; where both have one the new one counts."""
    records = {data[at]: data[at : at + RECORD.size] for data in (old, new) for at in range(0, len(data), RECORD.size)}
    return b"".join(records[slot] for slot in sorted(records))


def candles(series: Series, blocks: Iterable[tuple[int, bytes]], *, hidden: bool) -> list[Candle]:
    """The candles of blocks that ascend: those shown, or those hidden."""
    step = width(series.timeframe)
    return [
        Candle((block * BLOCK + slot) * step, open, high, low, close, volume, revision, SOURCES[kind & ~HIDDEN])
        for block, data in blocks
        for slot, kind, revision, open, high, low, close, volume in RECORD.iter_unpack(data)
        if bool(kind & HIDDEN) is hidden
    ]


def packed_coverage(coverage: Intervals, has_rows: bool) -> bytes:
    """Coverage, and whether rows were ever stored: only then is a series without any a loss."""
    return bytes([has_rows]) + b"".join(_INTERVAL.pack(*interval) for interval in coverage)


def coverage_of(data: bytes) -> tuple[Intervals, bool]:
    """What `packed_coverage` was given."""
    return Intervals((int(start), int(end)) for start, end in _INTERVAL.iter_unpack(data[1:])), bool(data[0])


def packed_operations(operations: Iterable[object]) -> bytes:
    """A list for a script. What is bytes goes as text: the servers' MessagePack knows no other kind."""
    return _encoder.encode([_text(each) if isinstance(each, bytes) else each for each in operations])


def _text(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(_TEXT.pack(0xDB, len(data)) + data)


class _Packed(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """An event without the names of its fields, which would be most of it."""

    kind: str
    exchange: str
    symbol: str
    timeframe: str
    time: int
    revision: int
    candle: tuple[int, float, float, float, float, float, int, str] | None
    until: int | None
    count: int | None
    reason: str | None
    value: IndicatorValue | None


class _Entry(msgspec.Struct, array_like=True):
    version: int
    events: list[_Packed]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Entry)


def packed_entry(events: Iterable[bytes]) -> bytes:
    """One entry of the log, of packed events."""
    return _encoder.encode((VERSION, [msgspec.Raw(event) for event in events]))


def packed_event(event: Event) -> bytes:
    """An event, to be put into an entry."""
    packed = _Packed(
        event.kind,
        event.exchange,
        event.symbol,
        event.timeframe,
        event.time,
        event.revision,
        None if event.candle is None else astuple(event.candle),
        event.until,
        event.count,
        event.reason,
        event.value,
    )
    return _encoder.encode(packed)


def events_of(data: bytes) -> list[Event]:
    """The events of an entry. Raises StoreCorruptError for what no version known here has written."""
    try:
        entry = _decoder.decode(data)
        if entry.version != VERSION:
            raise ValueError(f"version {entry.version}")
        return [_event(packed) for packed in entry.events]
    except (ValueError, msgspec.MsgspecError) as error:
        raise StoreCorruptError(f"an entry of the log is not ours: {error}; upgrade livermore") from None


def _event(packed: _Packed) -> Event:
    return Event(
        kind=packed.kind,
        exchange=packed.exchange,
        symbol=packed.symbol,
        timeframe=packed.timeframe,
        time=packed.time,
        revision=packed.revision,
        candle=None if packed.candle is None else Candle(*packed.candle),
        until=packed.until,
        count=packed.count,
        reason=packed.reason,
        value=packed.value,
    )
