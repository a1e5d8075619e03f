"""Reading the logs: the events after a cursor, from every stream; and waiting for the next one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from livermore_core import CursorExpiredError, Event
from livermore_redis.connection import Call, Server
from livermore_redis.cursors import BEGINNING, Cursor, Place, cursor_of, place_of, places_of
from livermore_redis.layout import Layout
from livermore_redis.packing import events_of

# Where a log cannot be waited for: those of a cluster together, and what shall be sent again.
LOOK_EVERY = 0.05
# Seconds within which what a server has forgotten is sent to it again.
SENT_AGAIN_WITHIN = 3.0
# Seconds beyond the time of waiting that a question already asked may take.
GRACE = 0.5
# Entries of each log in one answer, however far behind a reader is.
AT_ONCE = 16
# Whoever wants more of the newest events than this reads all.
MOST_NEWEST = 2000
Placed = tuple[Place, Event]
Entries = dict[int, list[Placed]]
Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
Said = TypeVar("Said")


class End(NamedTuple):
    """What is said of a stream: its newest event, and the newest that was forgotten."""

    last: Place
    floor: Place


class Log:
    """Every stream of a store as one log: in order per series, candles and values each by themselves."""

    def __init__(self, server: Server, layout: Layout, generation: str, ask: Ask) -> None:
        self._server, self._layout, self._generation, self._ask = server, layout, generation, ask
        # As bytes, which the client need not encode each time.
        self._heads = [layout.head(number).encode() for number in layout.streams]
        self._logs = [layout.log(number).encode() for number in layout.streams]
        self._numbers = {log: number for number, log in enumerate(self._logs)}
        # Events in an entry, of the last answer: where much was written at once, few entries are asked for.
        self._density = 1

    async def events(self, after: str, limit: int, until: str = "") -> list[tuple[str, Event]]:
        """Up to `limit` events after the cursor, of those that `until` knows. Raises CursorExpiredError."""
        places = await self._places(after)
        known = await self._places(until) if until else None
        generation, since = self._generation, list(places)
        cursor, found = Cursor(generation, places), list[tuple[str, Event]]()
        patience = SENT_AGAIN_WITHIN
        while len(found) < limit:
            entries, ends = await self._entries_and_ends(places, self._count(limit - len(found)))
            if after:
                # Looked at afterwards: what was forgotten meanwhile may not have been read.
                is_same = generation == self._generation
                if is_same and patience > 0.0 and _is_ahead(since, ends):
                    patience -= LOOK_EVERY
                    await asyncio.sleep(LOOK_EVERY)
                    continue
                if not is_same or not _within(since, ends):
                    raise CursorExpiredError(after, cursor_of(self._generation, [end.floor for end in ends]))
                await self._check_there(after, places, entries, ends)
            last = [end.last for end in ends] if known is None else known
            before = len(found)
            for number, placed in entries.items():
                for place, event in placed[: limit - len(found)]:
                    if place > last[number]:
                        break
                    places[number] = place
                    cursor.move(number, place)
                    found.append((str(cursor), event))
            if len(found) == before or all(place >= end for place, end in zip(places, last, strict=True)):
                break
        return found

    def _count(self, events: int) -> int:
        """How many entries of each log are asked for, so that an answer is of bounded size."""
        return min(AT_ONCE, math.ceil(events / len(self._logs) / self._density))

    async def _places(self, after: str) -> list[Place]:
        """The places of a cursor, or where the logs begin. Raises CursorExpiredError for one of another store."""
        places = places_of(after, self._generation, len(self._logs))
        if places is None:
            floors = [end.floor for end in await self.ends()]
            # Only now is it known which store is there.
            places = places_of(after, self._generation, len(self._logs)) if after else floors
            if places is None:
                raise CursorExpiredError(after, cursor_of(self._generation, floors))
        return places

    async def _entries_and_ends(self, places: Sequence[Place], count: int) -> tuple[Entries, list[End]]:
        if count < 1:
            return {}, await self.ends()
        if self._server.address.cluster:
            behind = [place < end.last for place, end in zip(places, await self.ends(), strict=True)]
            after = {number: place for number, place in enumerate(places) if behind[number]}
            return await self.entries(after, count), await self.ends()
        read = ("XREAD", "COUNT", count, "STREAMS", *self._logs, *map(_id, places))
        found, text, generation = await self._ask(
            lambda: self._server.between(read, "LOOK", self._heads, ("HGET", self._layout.store, "generation"))
        )
        self._now(generation)
        return self._found(found, dict(enumerate(places))), _ends(text)

    async def _check_there(self, after: str, places: Sequence[Place], entries: Entries, ends: Sequence[End]) -> None:
        """Raises CursorExpiredError where a log itself was deleted: nobody would ever hear that there was more."""
        missing = {number: place for number, place in enumerate(places) if place < ends[number].last}
        missing = {number: place for number, place in missing.items() if number not in entries}
        # Read again: an event may have come between the two looks.
        gone = missing.keys() - (await self.entries(missing, 1)).keys() if missing else set()
        if gone:
            rest = [end.last if number in gone else end.floor for number, end in enumerate(ends)]
            raise CursorExpiredError(after, cursor_of(self._generation, rest))

    def order(self, cursor: str) -> tuple[int, ...]:
        """The places of a cursor, one after the other; nothing for one of another store."""
        places = places_of(cursor, self._generation, len(self._logs)) or []
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
        streams = {log: _id(place) for log, place in zip(self._logs, places, strict=True)}
        milliseconds = max(1, int(1000 * seconds))
        return bool(await self._ask(lambda: self._server.client.xread(streams, count=1, block=milliseconds)))

    async def head(self) -> str:
        """The cursor after the newest event."""
        return cursor_of(self._generation, [end.last for end in await self.ends()])

    async def before_newest(self, count: int) -> str:
        """The cursor before so many entries of each log, or before all that are kept."""
        if count < 1:
            return await self.head()
        if count > MOST_NEWEST:
            return cursor_of(self._generation, [end.floor for end in await self.ends()])
        calls = [(keys, (count,)) for keys in zip(self._heads, self._logs, strict=True)]
        found = await self._ask(lambda: self._server.all("BACK", calls))
        return cursor_of(self._generation, [max(place_of(each.decode()) for each in pair) for pair in found])

    async def ends(self) -> list[End]:
        """What there is of each stream. Cursors are those of the store that is there now, should it be another one."""

        async def look() -> list[End]:
            answers = await self._server.all("LOOK", self._of_heads())
            self._now(await self._server.client.hget(self._layout.store, "generation"))
            return _in_order([_ends(answer) for answer in answers])

        found: list[End] = await self._ask(look)
        return found

    def _now(self, generation: bytes | None) -> None:
        self._generation = generation.decode() if generation else self._generation

    async def owners(self) -> list[bytes]:
        """Who writes each stream now, by the clock of the server."""
        return _in_order(await self._ask(lambda: self._server.all("OWNERS", self._of_heads())))

    def _of_heads(self) -> list[Call]:
        # Of a cluster only those of a shard are looked at together.
        groups = self._layout.shards if self._server.address.cluster else 1
        return [(self._heads[first::groups], ()) for first in range(groups)]

    async def entries(self, after: Mapping[int, Place], count: int) -> Entries:
        """The events of these streams after these places, of at most `count` entries each."""
        streams = {self._logs[number]: _id(place) for number, place in after.items()}
        # Keys of several shards are not read together from a cluster.
        groups = [{log: place} for log, place in streams.items()] if self._server.address.cluster else [streams]

        async def read() -> list[Any]:
            answers = [await self._server.client.xread(group, count=count) for group in groups]
            return [each for answer in answers for each in answer or ()]

        return self._found(await self._ask(read), after)

    def _found(self, answer: Any, after: Mapping[int, Place]) -> Entries:
        found: Entries = {}
        for log, entries in answer or ():
            number = self._numbers[log]
            placed = (each for entry in entries for each in _placed(*entry))
            found[number] = [each for each in placed if each[0] > after[number]]
            self._density = max(1, len(found[number]) // len(entries))
        return dict(sorted(found.items()))


def _within(places: Sequence[Place], ends: Sequence[End]) -> bool:
    return all(end.floor <= place <= end.last for place, end in zip(places, ends, strict=True))


def _is_ahead(places: Sequence[Place], ends: Sequence[End]) -> bool:
    """Whether a server has forgotten the last of what was read, and nothing else is missing."""
    pairs = list(zip(places, ends, strict=True))
    return all(end.floor <= place for place, end in pairs) and any(end.last < place for place, end in pairs)


def _in_order(answers: Sequence[Sequence[Said]]) -> list[Said]:
    """What was said of each stream, of the answers about `_of_heads`: the roles of a shard are together in one."""
    return list(chain.from_iterable(zip(*answers, strict=True)))


def _ends(text: bytes) -> list[End]:
    heads = (head.split(",") for head in text.decode().split(" "))
    return [End(place_of(last), place_of(floor)) for last, floor in heads]


def _placed(identity: bytes, fields: Mapping[bytes, bytes]) -> list[Placed]:
    """The events of an entry, each with its place: the entry has that of its last."""
    epoch, last = place_of(identity.decode())
    events = events_of(fields[b"e"])
    return [((epoch, at), event) for at, event in enumerate(events, start=last - len(events) + 1)]


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
