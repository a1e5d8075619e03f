"""Copies the log of one store into another, and tells which cursor of the copy stands for which one of the source.

Events have an order per series, those of candles and those of values each. Where a store has several logs, that is all
the order there is: a copy may have the source's events otherwise among each other, and one that was cut short may have
some of a batch and lack others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from hashlib import blake2b

import msgspec

from livermore_core.errors import ConfigurationError, CursorExpiredError
from livermore_core.market.events import Event
from livermore_core.market.series import Series
from livermore_core.market.timeframe import iso
from livermore_core.store.protocol import Batch, CandleStore

EVENTS_AT_ONCE = 2000
READ_AT_ONCE = 5000

Logged = tuple[str, Event]


class LogCopying:
    """One copy of a log: `admit` the target's, then `run`.

    `cursors` maps those of the source that are `wanted` to the target's, as far as these can be told; `copied` events
    were not in the target before; `advance` is told of them.
    """

    def __init__(
        self, source: CandleStore, target: CandleStore, wanted: Collection[str], advance: Callable[[str, int], None]
    ) -> None:
        self.cursors: dict[str, str] = {}
        self.copied = 0
        self._source, self._target, self._advance = source, target, advance
        self._wanted = set(wanted)
        # The source's log is read from each of these to the next.
        self._bounds = [*sorted(filter(source.order, self._wanted), key=source.order), ""]
        # The last event of the source up to which the target lacks none, and what the target has beyond it.
        self._reached = ""
        self._ahead: set[bytes] = set()

    # ---- what the target has already ----

    async def admit(self) -> None:
        """See how far the target's log has come. Raises ConfigurationError where it is not of a copy."""
        if not await self._is_run():
            self.cursors.clear()
            await self._admit_each()

    async def _is_run(self) -> bool:
        """Whether the target's log is a run of the source's; of what its beginning no longer keeps nothing is asked."""
        before, origin = await _origin(self._source), await _origin(self._target)
        has_forgotten = any(self._target.order(origin))
        theirs = _logged(self._target)
        expected = await anext(theirs, None)
        self._reached = ""
        if expected is None:
            self._note(before, origin)
            return True
        async for cursor, event in self._in_order():
            if event == expected[1]:
                if not self._reached:
                    self._note(before, origin)
                self._note(cursor, expected[0])
                self._reached = cursor
                expected = await anext(theirs, None)
                if expected is None:
                    return True
            elif self._reached or not has_forgotten:
                break
            before = cursor
        return False

    async def _admit_each(self) -> None:
        """Look for every event of the target in the source, in whatever order; of each series, the first ones."""
        held = {_digest(event) async for _, event in _logged(self._target)}
        lacking: set[tuple[Series, bool]] = set()
        self._reached = ""
        self._note(await _origin(self._source), await _origin(self._target))
        async for cursor, event in self._in_order():
            digest, track = _digest(event), (event.series, event.value is None)
            if digest not in held:
                lacking.add(track)
            elif track in lacking:
                raise other(f"its log goes on with {_named(event)}, and lacks one before it")
            elif lacking:
                self._ahead.add(digest)
            else:
                self._reached = cursor
            held.discard(digest)
        async for _, event in _logged(self._target):
            if _digest(event) in held:
                raise other(f"its log has {_named(event)}")
        if not self._ahead:
            self._note(self._reached, await self._target.head())

    # ---- what it lacks ----

    async def run(self) -> None:
        """Append it. Where a batch ends is where the target's cursor is known."""
        batch: list[Logged] = []
        async for cursor, event in self._in_order(self._reached):
            batch.append((cursor, event))
            if len(batch) == EVENTS_AT_ONCE or cursor in self._wanted:
                await self._append(batch)
                batch = []
        if batch:
            await self._append(batch)

    async def _append(self, batch: Sequence[Logged]) -> None:
        cursor = await self._target.transact(Batch(events=[event for _, event in batch]))
        self.copied += len(batch)
        if self._ahead:
            before = len(self._ahead)
            self._ahead.difference_update(_digest(event) for _, event in batch)
            self.copied -= before - len(self._ahead)
        # Of a target that is ahead no cursor says where the source is.
        if not self._ahead:
            self._note(batch[-1][0], cursor)
        self._advance("events", len(batch))

    async def _in_order(self, cursor: str = "") -> AsyncIterator[Logged]:
        """The source's log, so that all that a wanted cursor knows comes before the rest."""
        for bound in self._bounds:
            while page := await self._source.events(cursor, READ_AT_ONCE, bound):
                for cursor, event in page:
                    yield cursor, event

    def _note(self, cursor: str, translated: str) -> None:
        if cursor in self._wanted:
            self.cursors[cursor] = translated


def other(what: str) -> ConfigurationError:
    """The target is no copy."""
    return ConfigurationError(
        f"the target holds what the source does not: {what}; name an empty store, or a copy of this"
    )


async def _logged(store: CandleStore) -> AsyncIterator[Logged]:
    cursor = ""
    while page := await store.events(cursor, READ_AT_ONCE):
        for cursor, event in page:
            yield cursor, event


async def _origin(store: CandleStore) -> str:
    """The cursor before the oldest event that is kept."""
    try:
        await store.events("of no log", 1)
    except CursorExpiredError as error:
        return error.oldest
    raise AssertionError("a cursor of no log was taken")


def _digest(event: Event) -> bytes:
    return blake2b(msgspec.msgpack.encode(event), digest_size=16).digest()


def _named(event: Event) -> str:
    return f"a {event.kind} of {event.series} at {iso(event.time)}"
