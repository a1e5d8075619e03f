"""Following the event log: a snapshot first, or on from a cursor, one page in memory."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from livermore_core.consumer.wanted import Wanted
from livermore_core.errors import StoreCorruptError, StoreError
from livermore_core.exchange.heal import backoff
from livermore_core.market.events import Event
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.masking import harmless
from livermore_core.store.protocol import CandleStore

LOG = logging.getLogger("livermore_core.consumer")
SNAPSHOT = "snapshot"
PAGE = 1000
# Seconds: a store wakes who waits, and where it could not, nobody waits longer.
LOOK_AGAIN = 60.0
LONGEST_PAUSE = 5.0

# The newest of few kinds lie further back: so much more is read at each try.
FURTHER = 8


class Update(msgspec.Struct, frozen=True):
    """An event, and the cursor to go on after it; None before the end of a snapshot, which is read anew then.

    An event of kind "snapshot" has the newest candle of a series, or the latest value of one indicator.
    """

    cursor: str | None
    event: Event


async def newest(store: CandleStore, read: Callable[[str], Events], count: int) -> list[Update]:
    """The newest `count` of what `read` gives after a cursor, oldest first.

    Where the store can tell where its newest events begin, no more is read than has so many.
    """
    before = getattr(store, "before_newest", None)
    reach, after, found = count, None, deque[Update](maxlen=count)
    while after != "" and len(found) < count:
        last, after = after, "" if before is None else await before(reach)
        if after == last:
            break  # there was nothing before it
        found.clear()
        async for update in read(after):
            found.append(update)
        reach *= FURTHER
    return list(found)


class Events:
    """Async iterator of updates. It holds nothing open, and may be left, cancelled and taken up at any time.

    `cursor` is where to go on, in another process too: after the update that was taken last, and beyond what nobody
    wanted after it.
    """

    def __init__(self, store: CandleStore, cursor: str | None, wanted: Wanted, follow: bool) -> None:
        self.cursor = cursor
        self._store, self._wanted, self._follow = store, wanted, follow
        self._page: deque[Update] = deque()
        self._is_resolved = False
        self._failures = 0

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Update:
        while True:
            while self._page:
                update = self._page.popleft()
                self.cursor = update.cursor
                if update.event.kind == SNAPSHOT or self._wanted.has(update.event):
                    return update
            if not await self._turn():
                raise StopAsyncIteration

    async def _turn(self) -> bool:
        """Read the next page, or wait for it; whether there may be one. Outlasts a store that is out of reach."""
        try:
            self._page.extend(await self._read())
            if not self._page and self._follow:
                await self._store.wait(self.cursor or "", LOOK_AGAIN)
        except StoreError as error:
            if not self._follow or isinstance(error, StoreCorruptError):
                raise
            await self._pause(error)
        else:
            self._failures = 0
        return self._follow or bool(self._page)

    async def _read(self) -> list[Update]:
        if not self._is_resolved:
            await self._wanted.resolve(self._store)
            self._is_resolved = True
        if self.cursor is None:
            return await self._snapshot()
        # A log that is still empty has a cursor too, and it is one to wait for what comes after.
        origin = self.cursor or await self._store.head()
        page = await self._store.events(self.cursor, PAGE)
        if not page:
            self.cursor = origin
        return [Update(cursor, event) for cursor, event in page]

    async def _snapshot(self) -> list[Update]:
        """The newest of every series. The head is taken before: what is committed meanwhile comes again, not never."""
        head = await self._store.head()
        chosen = [series for series in await self._store.series() if self._wanted.of(series)]
        chosen.sort(key=lambda series: (series.exchange, series.symbol, WIDTHS[series.timeframe]))
        events = [event for series in chosen for event in await self._newest(series)]
        if not events:
            self.cursor = head
        return [Update(None, event) for event in events[:-1]] + [Update(head, event) for event in events[-1:]]

    async def _newest(self, series: Series) -> list[Event]:
        about = series._asdict() | {"kind": SNAPSHOT}
        candles = await self._store.candles(series, last=1) if self._wanted.candles else []
        values = await self._store.values(series) if self._wanted.values else []
        return [
            *(Event(time=each.time, revision=each.revision, candle=each, **about) for each in candles),
            *(
                Event(time=each.time, revision=each.revision, value=msgspec.structs.replace(each, state=None), **about)
                for each in values
            ),
        ]

    async def _pause(self, error: StoreError) -> None:
        if self._failures == 0:
            LOG.warning("the store is out of reach, and asked again until it answers: %s", harmless(str(error)))
        pause = backoff(self._failures, longest=LONGEST_PAUSE)
        self._failures += 1
        await asyncio.sleep(pause)
