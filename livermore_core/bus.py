"""Announcements inside one process: who publishes never waits for who listens; every backlog is bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from types import TracebackType

from livermore_core.market.events import COMMITTED, Event, kinds_of

BOUND = 100_000


class Subscription:
    """A listener's own queue, oldest first. `lost` counts events that the bound dropped (read the event log then).

    `cursor` is that of the last committed event that `get` has given ("" before): what the log has after it is new.
    """

    def __init__(self, bus: Bus, kinds: frozenset[str] | None, bound: int) -> None:
        self._bus = bus
        self._kinds = kinds
        self._queue: deque[Event] = deque()
        self._bound = bound
        self._wake = asyncio.Event()
        self.lost = 0
        self.cursor = self._newest = ""

    def wants(self, kind: str) -> bool:
        return self._kinds is None or kind in self._kinds

    def offer(self, event: Event, cursor: str) -> None:
        if len(self._queue) >= self._bound:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._newest = cursor or self._newest
        self._wake.set()

    async def get(self) -> list[Event]:
        """Everything that has come since the last call; waits for at least one event."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        events = list(self._queue)
        self._queue.clear()
        self.cursor = self._newest
        return events

    def __enter__(self) -> Subscription:
        self._bus.join(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bus.leave(self)


class Bus:
    """Passes events to subscriptions. Committed kinds are published only once the store has made them durable."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        # Who wants a kind, found out once per kind: previews come thousands of times a second.
        self._listeners: dict[str, list[Subscription]] = {}

    def publish(self, event: Event, cursor: str = "") -> None:
        """Hand `event` to every subscription that wants its kind; never blocks. `cursor`: of its transaction."""
        for subscription in self._listening(event.kind):
            subscription.offer(event, cursor)

    def wants(self, kind: str) -> bool:
        """Whether anyone listens to `kind`: a preview that nobody wants is not worth making."""
        return bool(self._listening(kind))

    def subscribe(self, kinds: Iterable[str] | None = COMMITTED, bound: int = BOUND) -> Subscription:
        """A subscription to `kinds` (None: every kind), active inside its `with` block. Raises ValueError."""
        return Subscription(self, None if kinds is None else kinds_of(kinds), bound)

    def join(self, subscription: Subscription) -> None:
        """Hand events to `subscription` from now on."""
        self._subscriptions.append(subscription)
        self._listeners.clear()

    def leave(self, subscription: Subscription) -> None:
        """Hand it no more."""
        self._subscriptions.remove(subscription)
        self._listeners.clear()

    def _listening(self, kind: str) -> list[Subscription]:
        found = self._listeners.get(kind)
        if found is None:
            found = self._listeners[kind] = [each for each in self._subscriptions if each.wants(kind)]
        return found
