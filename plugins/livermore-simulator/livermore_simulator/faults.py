"""Which faults are planned, active and past: a schedule played on exchange time, or by counting events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgspec

from livermore_core.testing import Fault
from livermore_simulator import wire
from livermore_simulator.clock import SimulationClock

REMEMBERED = 1000
# What these do is done when they begin; with a duration it is also done to what comes while it lasts.
AT_ONCE = frozenset(
    "ws.blackhole ws.close ws.rst ws.seq ws.late ws.snapshot_again ws.raw ws.burst".split()  # noqa: SIM905
)
# Without a duration these are over with the next request or connection, all others go on until they are ended.
FOR_ONE = ("rest.", "ws.refuse", "ws.upgrade", "ws.hang", "ws.silent", "ws.sub")


@dataclass(eq=False, slots=True)
class Played:
    """A fault that is or was active, from one moment to another of exchange time."""

    fault: Fault
    began: float
    until: float
    # How many requests, connections or frames have met it; of what is done at once, the connections there were.
    met: int = 0
    ended: float | None = None
    # Set once nothing may hang of it any more; one for a single request hangs until all are ended.
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self) -> dict[str, Any]:
        """The fault with its moments, JSON-able."""
        told = {"fault": self.fault, "began": self.began, "met": self.met}
        return told if self.ended is None else told | {"ended": self.ended}


class Faults:
    """Plays faults: everybody asks what is active; `say` is told each line.

    `act` does at once what a fault does to open connections, and returns how many that were.
    """

    def __init__(self, clock: SimulationClock, act: Callable[[Fault], int], say: Callable[[str], None]) -> None:
        self._clock, self._act, self._say = clock, act, say
        self._planned: list[tuple[float, Fault]] = []
        self._counting: list[list[Any]] = []
        self._active: list[Played] = []
        self._past: deque[Played] = deque(maxlen=REMEMBERED)

    # ---- when ----

    def plan(self, faults: Sequence[Fault]) -> None:
        """Let each begin `at` so many seconds from now, or at its event after that."""
        now = self._clock.now()
        self._planned += [(now + fault.at, fault) for fault in faults]
        self._planned.sort(key=lambda planned: planned[0])
        self.advance(now)

    def advance(self, moment: float) -> None:
        """Exchange time has got to `moment`: begin and end what is due."""
        for played in [played for played in self._active if played.until <= moment]:
            self._end(played)
        while self._planned and self._planned[0][0] <= moment:
            _, fault = self._planned.pop(0)
            if fault.on:
                self._counting.append([fault.nth, fault])
            else:
                self._begin(fault)

    def count(self, event: str) -> None:
        """An event happens: begin what waits for it."""
        if not self._counting:
            return
        for waiting in [waiting for waiting in self._counting if waiting[1].on == event]:
            waiting[0] -= 1
            if waiting[0] == 0:
                self._counting.remove(waiting)
                self._begin(waiting[1])

    def end_all(self) -> None:
        """Forget what is planned, end what is active, and let go of what hangs."""
        self._planned.clear()
        self._counting.clear()
        for played in list(self._active):
            self._end(played)
        for played in self._past:
            played.over.set()

    def _begin(self, fault: Fault) -> None:
        now = self._clock.now()
        ends = fault.lasts or fault.kind in AT_ONCE
        played = Played(fault, now, now + fault.lasts if ends else inf)
        self._active.append(played)
        self._tell("begins", fault)
        played.met += self._act(fault)
        if played.until <= now:
            self._end(played)

    def _end(self, played: Played) -> None:
        if played in self._active:
            self._active.remove(played)
            self._past.append(played)
            played.ended = self._clock.now()
            if played.fault.lasts:
                played.over.set()
            self._tell("ends", played.fault)

    def _tell(self, what: str, fault: Fault) -> None:
        self._say(f"{wire.instant(round(self._clock.now(), 3))} {what} {msgspec.json.encode(fault).decode()}")

    # ---- what ----

    def find(self, kind: str, symbol: str = "", channel: str = "") -> Fault | None:
        """The active fault of that kind about that symbol and channel."""
        if not self._active:
            return None
        played = self._played(kind, symbol, channel)
        return None if played is None else played.fault

    def take(self, kind: str, symbol: str = "", channel: str = "") -> Played | None:
        """The same for a request or connection: one without a duration is for this one, and over."""
        played = self._played(kind, symbol, channel)
        if played is not None and played.until == inf and kind.startswith(FOR_ONE):
            self._end(played)
        return played

    def total(self, *kinds: str) -> float:
        """The sum of the amounts of what is active of these kinds."""
        found = [played for played in self._active if played.fault.kind in kinds]
        for played in found:
            played.met += 1
        return sum(played.fault.amount for played in found)

    def told(self) -> dict[str, Any]:
        """What is planned, active and past, JSON-able."""
        waiting = [{"fault": fault, "events": left} for left, fault in self._counting]
        return {
            "active": [played.told() for played in self._active],
            "past": [played.told() for played in self._past],
            "planned": [{"fault": fault, "begins": moment} for moment, fault in self._planned] + waiting,
        }

    def _played(self, kind: str, symbol: str, channel: str) -> Played | None:
        for played in self._active:
            fault = played.fault
            if fault.kind == kind and fault.symbol in ("", symbol) and fault.channel in ("", channel):
                played.met += 1
                return played
        return None
