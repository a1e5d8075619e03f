"""One commit in the making: what several batches change in one shard, as the arguments of one script."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any

import msgspec

from livermore_core import Candle, Event, IndicatorValue, Intervals, Series, SeriesChange
from livermore_redis.layout import Layout
from livermore_redis.packing import packed_coverage, packed_entry, packed_event, place, record

# Coverage of a series, and whether it has rows.
Known = tuple[Intervals, bool]


class Commit:
    """Collects changes of one stream; nothing is true of it until the server has said so.

    `known` is what the server knows of each series; `told` the keys of the events that are in its log.
    """

    def __init__(self, layout: Layout, stream: int, known: Mapping[Series, Known], told: Collection[Hashable]) -> None:
        self._layout, self._stream = layout, stream
        self._before, self._told = known, told
        self.known: dict[Series, Known] = {}
        self.events: dict[Hashable, bytes] = {}
        self._blocks: dict[tuple[Series, int], dict[int, bytes]] = {}
        self._values: dict[tuple[Series, str], bytes] = {}

    def add(self, changes: Iterable[SeriesChange], events: Iterable[Event]) -> None:
        """Take in a part of a batch. Raises ValueError or TypeError for what cannot be stored."""
        for change in changes:
            self._change(change)
        for event in events:
            key = key_of(event)
            if key not in self._told and key not in self.events:
                self.events[key] = packed_event(event)

    def _change(self, change: SeriesChange) -> None:
        series = change.series
        if change.rows or change.hidden or change.covered or change.uncovered:
            coverage, has_rows = self.known.get(series) or self._before.get(series) or (Intervals(), False)
            coverage = coverage.copy()
            for start, end in change.uncovered:
                coverage.remove(start, end)
            for start, end in change.covered:
                coverage.add(start, end)
            self.known[series] = coverage, has_rows or bool(change.rows or change.hidden)
        for candle in change.rows:
            self._row(series, candle, hidden=False)
        for candle in change.hidden:
            self._row(series, candle, hidden=True)
        for value in change.values:
            self._value(series, value)

    def _row(self, series: Series, candle: Candle, hidden: bool) -> None:
        block, slot = place(series, candle.time)
        self._blocks.setdefault((series, block), {})[slot] = record(slot, candle, hidden)

    def _value(self, series: Series, value: IndicatorValue) -> None:
        self._values[series, value.indicator] = msgspec.msgpack.encode(value)

    def script(self, sequence: int) -> tuple[list[str], list[Any]]:
        """Keys and arguments after owner and epoch: what is expected, what it becomes, and the operations."""
        layout = self._layout
        keys = [layout.head(self._stream), layout.log(self._stream), layout.coverage(self._stream % layout.shards)]
        places: dict[str, int] = {}
        entry = packed_entry(self.events.values()) if self.events else b""
        arguments: list[Any] = [sequence, sequence + self.advance, len(self.events), entry]
        for series, (coverage, has_rows) in self.known.items():
            if self._before.get(series) != (coverage, has_rows):
                arguments += ["k", 3, str(series), packed_coverage(coverage, has_rows)]
        for (series, block), rows in self._blocks.items():
            key = places.setdefault(layout.candles(series), len(keys) + 1)
            keys += [layout.candles(series)] * (key > len(keys))
            arguments += ["c", key, block, b"".join(rows[slot] for slot in sorted(rows))]
        for (series, indicator), packed in self._values.items():
            key = places.setdefault(layout.values(series), len(keys) + 1)
            keys += [layout.values(series)] * (key > len(keys))
            arguments += ["v", key, indicator, packed]
        return keys, arguments

    @property
    def advance(self) -> int:
        """By how much the sequence number grows: one per event, and one where there is none."""
        return max(1, len(self.events))


def key_of(event: Event) -> Hashable:
    """What makes an event that event: its key in the log."""
    indicator = event.value.indicator if event.value is not None else ""
    return (event.exchange, event.symbol, event.timeframe, event.time, event.revision, event.kind, indicator)
