"""Reading the logs: the events after a cursor, from every stream; and waiting for the next one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
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
Entry = tuple[bytes, Mapping[bytes, bytes]]
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
        # Events in an entry, on the last page: where much was written at once, few entries are asked for.
        self._density = 1

    async def events(self, after: str, limit: int, until: str = "") -> list[tuple[str, Event]]:
        """Up to `limit` events after the cursor, of those that `until` knows. Raises CursorExpiredError."""
        ends = await self.ends()
        floors = [end.floor for end in ends]
        places = places_of(after, self._generation, len(ends)) if after else list(floors)
        if places is None or any(place > end.last for place, end in zip(places, ends, strict=True)):
            raise CursorExpiredError(after, cursor_of(self._generation, floors))
        known = places_of(until, self._generation, len(ends)) if until else [end.last for end in ends]
        if known is None:
            raise CursorExpiredError(until, cursor_of(self._generation, floors))
        newest = [min(place, end.last) for place, end in zip(known, ends, strict=True)]
        behind = {number: places[number] for number in self._layout.streams if places[number] < newest[number]}
        if not behind or limit < 1:
            return []
        entries = await self._page(behind, limit)
        if after:
            await self._check(after, places)
            gone = [number for number in behind if number not in entries]
            if gone:
                # The log itself has been deleted: whoever goes on would never hear that there was more.
                rest = [end.last if number in gone else end.floor for number, end in enumerate(ends)]
                raise CursorExpiredError(after, cursor_of(self._generation, rest))
        found: list[tuple[str, Event]] = []
        for number, placed in entries.items():
            for place, event in placed:
                if place > newest[number]:
                    break
                places[number] = place
                found.append((cursor_of(self._generation, places), event))
        return found

    async def _check(self, after: str, places: Sequence[Place]) -> None:
        # Looked at afterwards: what was forgotten meanwhile may not have been read.
        floors = [end.floor for end in await self.ends()]
        if any(place < floor for place, floor in zip(places, floors, strict=True)):
            raise CursorExpiredError(after, cursor_of(self._generation, floors))

    def order(self, cursor: str) -> tuple[int, ...]:
        """The places of a cursor, one after the other."""
        places = places_of(cursor, self._generation, len(self._layout.streams)) or []
        return tuple(chain.from_iterable(places))

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

    async def _page(self, after: Mapping[int, Place], limit: int) -> dict[int, list[Placed]]:
        """Up to `limit` events of these streams; what was read beyond them is not unpacked."""
        found = await self._read(after, math.ceil(limit / len(after) / self._density))
        sizes = [int(fields[b"n"]) for entries in found.values() for _, fields in entries]
        self._density = max(1, sum(sizes) // max(1, len(sizes)))
        page: dict[int, list[Placed]] = {}
        for number, entries in found.items():
            page[number] = list(islice(_after(after[number], entries), limit))
            limit -= len(page[number])
        return page

    async def entries(self, after: Mapping[int, Place], count: int) -> dict[int, list[Placed]]:
        """The events of these streams after these places, of at most `count` entries each."""
        found = await self._read(after, count)
        return {number: list(_after(after[number], entries)) for number, entries in found.items()}

    async def _read(self, after: Mapping[int, Place], count: int) -> dict[int, list[Entry]]:
        logs = {self._layout.log(number): number for number in after}
        streams = {log: _id(after[number]) for log, number in logs.items()}
        # Keys of several shards are not read together from a cluster.
        groups = [{log: place} for log, place in streams.items()] if self._server.address.cluster else [streams]

        async def read() -> list[Any]:
            answers = [await self._server.client.xread(group, count=count) for group in groups]
            return [each for answer in answers for each in answer or ()]

        return dict(sorted((logs[log.decode()], entries) for log, entries in await self._ask(read)))


def _after(after: Place, entries: Iterable[Entry]) -> Iterator[Placed]:
    return (each for entry in entries for each in _placed(*entry) if each[0] > after)


def _placed(identity: bytes, fields: Mapping[bytes, bytes]) -> list[Placed]:
    """The events of an entry, each with its place: the entry has that of its last."""
    epoch, last = place_of(identity.decode())
    events = events_of(fields[b"e"])
    return [((epoch, at), event) for at, event in enumerate(events, start=last - len(events) + 1)]


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
