"""What the server knows of a store when somebody takes it over: coverage, the keys of events, what it has dropped."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain

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
        # One after the other: all of them at once would be all that there is in memory.
        for number, stream in streams.items():
            await self._read_told(stream, ends[number].floor)
        return [end.last for end in ends], streams

    async def _read_told(self, stream: Stream, floor: Place) -> None:
        after = floor
        while entries := await self._log.entries({stream.number: after}, ENTRIES_AT_ONCE):
            for place, event in entries[stream.number]:
                stream.told[key_of(event)], after = None, place

    async def missing(self, known: Mapping[Series, Known], streams: Mapping[int, Stream]) -> list[str]:
        """The keys that are gone of those that should be there: of the store, and of what these streams tell of."""
        layout = self._layout
        keys = {(-1, layout.store)}
        for series, (_, has_rows) in known.items():
            shard = layout.shard(series.symbol)
            keys |= {(shard, layout.coverage(shard))} | ({(shard, layout.candles(series))} if has_rows else set())
        for number, stream in streams.items():
            shard = number % layout.shards
            keys |= {(shard, layout.head(number))} | ({(shard, layout.log(number))} if stream.told else set())
            keys |= {(shard, layout.values(series)) for series in stream.valued}
        return await self._gone(keys)

    async def evicted(self, known: Mapping[Series, Known]) -> list[Series]:
        """Series whose rows are gone although they had some."""
        keys = {self._layout.candles(series): series for series, (_, has_rows) in known.items() if has_rows}
        gone = await self._gone((self._layout.shard(series.symbol), key) for key, series in keys.items())
        return [keys[key] for key in gone]

    async def _gone(self, keys: Iterable[tuple[int, str]]) -> list[str]:
        """Those that are not there of these keys, each given with its shard."""
        shards: dict[int, list[str]] = defaultdict(list)
        for shard, key in sorted(keys):
            shards[shard].append(key)
        found = await self._ask(lambda: self._server.all("THERE", [(each, ()) for each in shards.values()]))
        pairs = zip(chain.from_iterable(shards.values()), chain.from_iterable(found), strict=True)
        return [key for key, is_there in pairs if not is_there]
