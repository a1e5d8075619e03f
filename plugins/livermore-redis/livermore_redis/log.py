"""Reading the logs: the events after a cursor, from every stream; and waiting for the next one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from livermore_core import CursorExpiredError, Event
from livermore_redis.connection import Server
from livermore_redis.cursors import BEGINNING, Place, cursor_of, place_of, places_of
from livermore_redis.layout import Layout
from livermore_redis.packing import events_of

# Of a cluster, whose logs cannot be waited for together.
LOOK_EVERY = 0.05
# Seconds beyond the time of waiting that a question already asked may take.
GRACE = 0.5
Placed = tuple[Place, Event]
Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


class End(NamedTuple):
    """What is said of a stream: its newest event, the newest that was forgotten, and who writes it."""

    last: Place
    floor: Place
    owner: bytes


class Log:
    """Every stream of a store as one log: in order per series, candles and values each by themselves."""

    def __init__(self, server: Server, layout: Layout, generation: str, ask: Ask) -> None:
        self._server, self._layout, self._generation, self._ask = server, layout, generation, ask

    async def events(self, after: str, limit: int) -> list[tuple[str, Event]]:
        """Up to `limit` events after the cursor, each with its own. Raises CursorExpiredError."""
        ends = await self.ends()
        floors = [end.floor for end in ends]
        places = places_of(after, self._generation, len(ends)) if after else list(floors)
        if places is None or any(place > end.last for place, end in zip(places, ends, strict=True)):
            raise CursorExpiredError(after, cursor_of(self._generation, floors))
        behind = {number: places[number] for number in self._layout.streams if places[number] < ends[number].last}
        if not behind or limit < 1:
            return []
        entries = await self.entries(behind, math.ceil(limit / len(behind)))
        if after:
            await self._check(after, places)
            gone = [number for number in behind if number not in entries]
            if gone:
                # The log itself has been deleted: whoever goes on would never hear that there was more.
                rest = [end.last if number in gone else end.floor for number, end in enumerate(ends)]
                raise CursorExpiredError(after, cursor_of(self._generation, rest))
        found: list[tuple[str, Event]] = []
        for number, placed in entries.items():
            for place, event in placed[: limit - len(found)]:
                places[number] = place
                found.append((cursor_of(self._generation, places), event))
        return found

    async def _check(self, after: str, places: Sequence[Place]) -> None:
        # Looked at afterwards: what was forgotten meanwhile may not have been read.
        floors = [end.floor for end in await self.ends()]
        if any(place < floor for place, floor in zip(places, floors, strict=True)):
            raise CursorExpiredError(after, cursor_of(self._generation, floors))

    async def wait(self, after: str, within: float) -> None:
        """Wait for an entry after the cursor in any of the logs, also where the server cannot be asked meanwhile."""
        streams = len(self._layout.streams)
        places = places_of(after, self._generation, streams) or [BEGINNING] * streams
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        with suppress(TimeoutError):
            async with asyncio.timeout(within + GRACE):
                while (left := deadline - loop.time()) > 0.0 and not await self._grown(places, left):
                    pass

    async def _grown(self, places: list[Place], left: float) -> bool:
        if not self._server.address.cluster:
            return await self._blocked(places, min(left, self._server.address.timeout / 2))
        if any(end.last > place for place, end in zip(places, await self.ends(), strict=True)):
            return True
        await asyncio.sleep(min(left, LOOK_EVERY))
        return False

    async def _blocked(self, places: list[Place], seconds: float) -> bool:
        streams = {self._layout.log(number): _id(places[number]) for number in self._layout.streams}
        milliseconds = max(1, int(1000 * seconds))
        return bool(await self._ask(lambda: self._server.client.xread(streams, count=1, block=milliseconds)))

    async def head(self) -> str:
        """The cursor after the newest event."""
        return cursor_of(self._generation, [end.last for end in await self.ends()])

    async def ends(self) -> list[End]:
        """What there is of each stream. Cursors are those of the store that is there now, should it be another one."""
        keys = [self._layout.head(number) for number in self._layout.streams]
        groups = [[key] for key in keys] if self._server.address.cluster else [keys]

        async def look() -> list[Any]:
            generation = await self._server.client.hget(self._layout.store, "generation")
            self._generation = generation.decode() if generation else self._generation
            answers = await self._server.all("LOOK", [(group, ()) for group in groups])
            return [each for answer in answers for each in answer]

        return [
            End(place_of(last.decode()), place_of(floor.decode()), owner)
            for last, floor, owner in await self._ask(look)
        ]

    async def entries(self, after: Mapping[int, Place], count: int) -> dict[int, list[Placed]]:
        """The events of these streams after these places, of at most `count` entries each."""
        logs = {self._layout.log(number): number for number in after}
        streams = {log: _id(after[number]) for log, number in logs.items()}
        # Keys of several shards are not read together from a cluster.
        groups = [{log: place} for log, place in streams.items()] if self._server.address.cluster else [streams]

        async def read() -> list[Any]:
            answers = [await self._server.client.xread(group, count=count) for group in groups]
            return [each for answer in answers for each in answer or ()]

        found: dict[int, list[Placed]] = {}
        for log, entries in await self._ask(read):
            number = logs[log.decode()]
            placed = (each for entry in entries for each in _placed(*entry))
            found[number] = [each for each in placed if each[0] > after[number]]
        return dict(sorted(found.items()))


def _placed(identity: bytes, fields: Mapping[bytes, bytes]) -> list[Placed]:
    """The events of an entry, each with its place: the entry has that of its last."""
    epoch, last = place_of(identity.decode())
    events = events_of(fields[b"e"])
    return [((epoch, at), event) for at, event in enumerate(events, start=last - len(events) + 1)]


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
