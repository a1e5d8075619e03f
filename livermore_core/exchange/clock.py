"""Exchange time: the greatest stamp received, never extrapolated; it decides what is true."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from math import inf


class ExchangeClock:
    """The clock of one exchange in UNIX seconds; 0.0 until the first stamp."""

    __slots__ = ("_alarm", "_serial", "_waiters", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._alarm = inf
        self._serial = count()
        self._waiters: list[tuple[float, int, asyncio.Event]] = []

    def observe(self, stamp: float) -> None:
        """A stamp was received; an older one than before changes nothing."""
        if stamp > self.now:
            self.now = stamp
            if stamp >= self._alarm:
                self._ring()

    def wake(self, moment: float, event: asyncio.Event) -> None:
        """Set `event` when the clock reaches `moment`."""
        if moment <= self.now:
            event.set()
            return
        heappush(self._waiters, (moment, next(self._serial), event))
        self._alarm = self._waiters[0][0]

    def _ring(self) -> None:
        while self._waiters and self._waiters[0][0] <= self.now:
            heappop(self._waiters)[2].set()
        self._alarm = self._waiters[0][0] if self._waiters else inf
