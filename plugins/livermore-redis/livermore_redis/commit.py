"""One commit in the making: what several batches change in one shard, as the arguments of one script."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from livermore_core import Event, Intervals, Series, SeriesChange
from livermore_redis.layout import Layout
from livermore_redis.packing import blocks, merged, packed_coverage, packed_entry, packed_event, packed_operations

# Coverage of a series, and whether it has rows.
Known = tuple[Intervals, bool]


class Commit:
    """Collects changes of one stream; nothing is true of it until the server has said so.

    `known` is what the server knows of each series; `told` the keys of the events that are in its log.
    """

    def __init__(self, layout: Layout, stream: int, known: Mapping[Series, Known], told: Collection[bytes]) -> None:
        self._layout, self._stream = layout, stream
        self._before, self._told = known, told
        self.known: dict[Series, Known] = {}
        self.events: dict[bytes, bytes] = {}
        self._rows: dict[Series, dict[int, bytes]] = {}
        self._values: dict[tuple[Series, str], bytes] = {}

    def announce(self, event: Event) -> None:
        """Take in an event. Raises ValueError or TypeError for what cannot be stored."""
        key = key_of(event)
        if key not in self._told and key not in self.events:
            self.events[key] = packed_event(event)

    def change(self, change: SeriesChange) -> None:
        """Take in a change. Raises ValueError or TypeError for what cannot be stored."""
        series = change.series
        if change.rows or change.hidden or change.covered or change.uncovered:
            coverage, has_rows = self.known.get(series) or self._before.get(series) or (Intervals(), False)
            coverage = coverage.copy()
            for start, end in change.uncovered:
                coverage.remove(start, end)
            for start, end in change.covered:
                coverage.add(start, end)
            self.known[series] = coverage, has_rows or bool(change.rows or change.hidden)
        for rows, hidden in ((change.rows, False), (change.hidden, True)):
            if rows:
                before = self._rows.setdefault(series, {})
                for block, packed in blocks(series, rows, hidden=hidden).items():
                    before[block] = merged(before[block], packed) if block in before else packed
        for value in change.values:
            self._values[series, value.indicator] = msgspec.msgpack.encode(value)

    def script(self, sequence: int) -> tuple[list[str], list[Any]]:
        """Keys and arguments after owner and epoch: what is expected, what it becomes, and the operations."""
        layout = self._layout
        stream = [layout.head(self._stream), layout.log(self._stream), layout.coverage(self._stream % layout.shards)]
        keys = {key: number for number, key in enumerate(stream, start=1)}
        operations: list[int | str | bytes] = []
        for series, (coverage, has_rows) in self.known.items():
            if self._before.get(series) != (coverage, has_rows):
                kind = "K" if series in self._before else "k"
                operations += [kind, 3, str(series), packed_coverage(coverage, has_rows)]
        for series, rows in self._rows.items():
            key = keys.setdefault(layout.candles(series), len(keys) + 1)
            kind = "C" if self._had_rows(series) else "c"
            for block, packed in sorted(rows.items()):
                operations += [kind, key, block, packed]
        for (series, indicator), packed in self._values.items():
            key = keys.setdefault(layout.values(series), len(keys) + 1)
            operations += ["v", key, indicator, packed]
        entry = packed_entry(self.events.values()) if self.events else b""
        # The operations as one argument: to write a hundred takes the client longer than all else.
        return list(keys), [sequence, sequence + self.advance, len(self.events), entry, packed_operations(operations)]

    def _had_rows(self, series: Series) -> bool:
        return series in self._before and self._before[series][1]

    @property
    def valued(self) -> set[Series]:
        """The series of which it has values."""
        return {series for series, _ in self._values}

    @property
    def advance(self) -> int:
        """By how much the sequence number grows: one per event, and one where there is none."""
        return max(1, len(self.events))


def key_of(event: Event) -> bytes:
    """What makes an event that event: its key in the log, as a digest, for hundreds of thousands are held."""
    indicator = event.value.indicator if event.value is not None else ""
    key = (event.exchange, event.symbol, event.timeframe, event.time, event.revision, event.kind, indicator)
    return blake2b(msgspec.msgpack.encode(key), digest_size=16).digest()
