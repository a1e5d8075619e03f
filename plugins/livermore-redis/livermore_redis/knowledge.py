"""What the server knows of a store when somebody takes it over: coverage, the keys of events, what it has dropped."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from livermore_core import Series
from livermore_redis.commit import Known, key_of
from livermore_redis.connection import Server
from livermore_redis.cursors import Place
from livermore_redis.layout import Layout, series_of
from livermore_redis.log import Ask, Log
from livermore_redis.packing import coverage_of
from livermore_redis.writer import Stream

ENTRIES_AT_ONCE = 1000


class Knowledge:
    """Reads it, all shards at once."""

    def __init__(self, server: Server, layout: Layout, log: Log, ask: Ask) -> None:
        self._server, self._layout, self._log, self._ask = server, layout, log, ask

    async def coverage(self) -> dict[Series, Known]:
        """What is known of every series."""
        shards = await asyncio.gather(*(self._coverage(shard) for shard in range(self._layout.shards)))
        return {series: known for shard in shards for series, known in shard.items()}

    async def _coverage(self, shard: int) -> dict[Series, Known]:
        found = await self._ask(lambda: self._server.client.hgetall(self._layout.coverage(shard)))
        return {series_of(name): coverage_of(packed) for name, packed in found.items()}

    async def streams(self, epochs: Mapping[int, int]) -> tuple[list[Place], dict[int, Stream]]:
        """Where every log is, and the streams of these epochs with the keys of the events in their logs."""
        ends = await self._log.ends()
        streams = {number: Stream(number, epoch) for number, epoch in epochs.items()}
        await asyncio.gather(*(self._read_told(stream, ends[number].floor) for number, stream in streams.items()))
        return [end.last for end in ends], streams

    async def _read_told(self, stream: Stream, floor: Place) -> None:
        after = floor
        while entries := await self._log.entries({stream.number: after}, ENTRIES_AT_ONCE):
            for place, event in entries[stream.number]:
                stream.told[key_of(event)] = after = place

    async def evicted(self, known: Mapping[Series, Known]) -> list[Series]:
        """Series whose rows are gone although they had some."""
        shards: dict[int, list[Series]] = defaultdict(list)
        for series, (_, has_rows) in known.items():
            if has_rows:
                shards[self._layout.shard(series.symbol)].append(series)
        calls = [([self._layout.candles(series) for series in each], ()) for each in shards.values()]
        found = await self._ask(lambda: self._server.all("THERE", calls))
        pairs = (
            pair for each, there in zip(shards.values(), found, strict=True) for pair in zip(each, there, strict=True)
        )
        return [series for series, is_there in pairs if not is_there]
