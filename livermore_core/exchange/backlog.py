"""What waits for the store, in the order it came: closed minutes, retractions of them, and the passing of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from livermore_core.errors import StoreError
from livermore_core.exchange.trouble import Trouble

Job = Callable[[], Awaitable[None]]

# So many closed minutes of all symbols may wait to be written; REST tells those that come while they do.
MOST_MINUTES = 30


class Backlog:
    """Runs one job after the other. `minutes` wait or are being written; `shed` were left to REST in their place.

    A retraction is of minutes that were taken in and happens once to each, and at most one tick waits: with the minutes
    all is bounded.
    """

    def __init__(self, report: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.minutes = self.shed = 0
        self.lagging = Trouble("ws.lagging", report)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._is_tick_waiting = False

    def has_room(self) -> bool:
        """Whether another closed minute may wait."""
        return self.minutes < MOST_MINUTES

    def minute(self, job: Job) -> None:
        """Have a closed minute written."""
        self.minutes += 1
        self._jobs.put_nowait(lambda: self._minute(job))

    def shed_minute(self) -> None:
        """There was no room for a closed minute: count it, and say so."""
        self.shed += 1
        self.lagging.bad("ws.lagging", waiting=self.minutes, shed=self.shed)

    def retraction(self, job: Job) -> None:
        """Have something taken back that was closed before."""
        self._jobs.put_nowait(job)

    def tick(self, job: Job) -> None:
        """Have it noticed that time has passed, unless that waits already."""
        if not self._is_tick_waiting:
            self._is_tick_waiting = True
            self._jobs.put_nowait(lambda: self._tick(job))

    async def run(self, failed: Callable[[StoreError], None]) -> None:
        """Do what waits, for ever; `failed` is told what the store refuses."""
        while True:
            job = await self._jobs.get()
            try:
                await job()
            except StoreError as error:
                failed(error)
            if self._jobs.empty():
                self.lagging.well()

    async def _minute(self, job: Job) -> None:
        try:
            await job()
        finally:
            self.minutes -= 1

    async def _tick(self, job: Job) -> None:
        self._is_tick_waiting = False
        await job()
