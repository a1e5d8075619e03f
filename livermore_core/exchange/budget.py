"""The one pace of requests to an exchange account or address, shared by everything that asks it."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count

SHARE = 0.99
RECOVERY_PER_SECOND = 0.01
LONGEST_PAUSE = 300.0


def obeyed(retry_after: float | None) -> float:
    """Seconds to pause after a refusal for pace: what was asked for, within bounds; 1 s where it was not said."""
    return min(LONGEST_PAUSE, max(1.0, 1.0 if retry_after is None else retry_after))


class Budget:
    """Evenly paced permits: SHARE of `rate` requests per second, `burst` at once; lower priorities go first.

    After a refusal for pace, the pace halves and returns by 1 % a second; `Retry-After` is obeyed (1 to 300 s).
    """

    def __init__(self, rate: float, burst: int = 1) -> None:
        self.rate, self.burst = rate, burst
        self.refused = 0
        self._waiting: list[tuple[tuple[float, ...], int, asyncio.Future[None]]] = []
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._paused_until = 0.0
        self._slowed = (0.0, 1.0)

    async def acquire(self, priority: tuple[float, ...] = (0,)) -> None:
        """Wait for a permit."""
        permit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, next(self._serial), permit))
        self._grant()
        await permit

    def refuse(self, retry_after: float | None) -> None:
        """The exchange refused for pace: slow down, and pause as it asked (1 s where it did not say)."""
        now = asyncio.get_running_loop().time()
        self.refused += 1
        self._slowed = (now, max(0.05, self.pace() / 2))
        self._paused_until = max(self._paused_until, now + obeyed(retry_after))

    def pace(self) -> float:
        """The share of the full pace that is used now, 0..1."""
        since, share = self._slowed
        return min(1.0, share + RECOVERY_PER_SECOND * (asyncio.get_running_loop().time() - since))

    @property
    def waiting(self) -> int:
        """How many callers wait for a permit."""
        return len(self._waiting)

    def _grant(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            now = loop.time()
            interval = 1.0 / (SHARE * self.rate * self.pace())
            allowed = max(self._due - (self.burst - 1) * interval, self._paused_until)
            if now < allowed:
                self._wait_until(allowed)
                return
            permit = heappop(self._waiting)[2]
            if permit.done():  # its caller was cancelled
                continue
            self._due = max(self._due, now) + interval
            permit.set_result(None)

    def _wait_until(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(moment, self._grant)
