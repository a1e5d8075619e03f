"""How the process itself fares: how late its loop turns and who blocks it, clocks that were moved, memory."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

from livermore_core.errors import LivermoreError
from livermore_core.exchange.trouble import REMIND_EVERY, Trouble
from livermore_core.plugins import Plugin
from livermore_core.services import Report

BEAT = 0.1
# Seconds that a beat of the loop may be late.
LATE = 0.25
# Seconds without a beat after which the stack is looked at: early enough to see who blocks for as long as LATE.
OVERDUE = 0.2
LOOK_EVERY = 1.0
# Seconds that one clock may move against another between two looks.
STEP = 1.0
# Where no clock tells a suspension from a step: the wall clock ahead by more seconds than this was a suspension.
SUSPENDED = 5.0
HIGH = 0.8
MEGABYTE = 1_000_000


class Clocks(NamedTuple):
    """One look at the clocks: `boot` is monotonic and counts a suspension too; None where there is no such clock."""

    wall: float
    monotonic: float
    boot: float | None

    def moved(self, before: Clocks) -> tuple[float, float]:
        """For how long we were suspended since `before`, and by how much the wall clock alone was set, in seconds."""
        ran = self.monotonic - before.monotonic
        ahead = self.wall - before.wall - ran
        if self.boot is not None and before.boot is not None:
            suspended = self.boot - before.boot - ran
        else:
            suspended = ahead if ahead > SUSPENDED else 0.0
        return suspended, ahead - suspended


def look_at_clocks() -> Clocks:
    """All of them at one moment: who was stopped between two of them looks again."""
    while True:
        before = time.monotonic()
        boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else None
        clocks = Clocks(time.time(), before, boot)
        if time.monotonic() - before < STEP / 4:
            return clocks


def resident() -> int:
    """The memory that this process holds, in bytes; 0 where the system does not tell (it does on Linux)."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Vitals:
    """A service that says `loop.lag`, `clock.stepped`, `clock.resumed` and `mem.high` of this process.

    With a `ceiling` in MB, `end` is called with an error once the process holds more: before the kernel kills it.
    """

    def __init__(
        self,
        report: Report,
        plugins: list[Plugin],
        end: Callable[[LivermoreError], None],
        *,
        ceiling: int | None = None,
        clocks: Callable[[], Clocks] = look_at_clocks,
        memory: Callable[[], int] = resident,
    ) -> None:
        self.lags, self.longest_lag = 0, 0.0
        self._report, self._end, self._ceiling = report, end, ceiling
        self._packages = {each.module.partition(".")[0]: each for each in reversed(plugins) if each.state == "ok"}
        self._clocks, self._memory = clocks, memory
        self._high = Trouble("mem.high", report, settles=REMIND_EVERY)
        # By the plugin that was at work, "" where there was none.
        self._unsaid: dict[str, list[dict[str, Any]]] = {}
        self._say_from: dict[str, float] = {}

    def row(self) -> dict[str, Any]:
        """What the status row says of it."""
        memory = round(self._memory() / MEGABYTE)
        return {"loop_lags": self.lags, "longest_loop_lag": self.longest_lag, "memory_mb": memory}

    def reasons(self) -> dict[str, str]:
        """Why the run is not wholly well."""
        return {"memory": "mem.high"} if self._high.since is not None else {}

    async def run(self, ready: Callable[[], None]) -> None:
        """Beat, and look at everything each second."""
        loop = asyncio.get_running_loop()
        seen, look_at = self._clocks(), loop.time() + LOOK_EVERY
        with _Watcher(self._packages) as watcher:
            ready()
            while True:
                due = loop.time() + BEAT
                await asyncio.sleep(BEAT)
                now = loop.time()
                self._turned(now - due, now, watcher.beat())
                if now >= look_at:
                    seen, before, look_at = self._clocks(), seen, now + LOOK_EVERY
                    self._moved(*seen.moved(before))
                    self._holds(self._memory() / MEGABYTE)

    def _turned(self, late: float, now: float, sample: Mapping[str, Any]) -> None:
        """The loop turned. Who made it late is named at once; what follows is told once a minute, the worst of it."""
        if late > LATE:
            self.lags += 1
            self.longest_lag = max(self.longest_lag, round(late, 3))
            self._unsaid.setdefault(sample.get("plugin", ""), []).append({"seconds": round(late, 3), **sample})
        for who in [who for who in self._unsaid if now >= self._say_from.get(who, 0.0)]:
            lags = self._unsaid.pop(who)
            self._say_from[who] = now + REMIND_EVERY
            self._report("loop.lag", {**max(lags, key=lambda lag: float(lag["seconds"])), "times": len(lags)})

    def _moved(self, suspended: float, stepped: float) -> None:
        if suspended > STEP:
            self._report("clock.resumed", {"seconds": round(suspended, 1)})
        if abs(stepped) > STEP:
            self._report("clock.stepped", {"seconds": round(stepped, 1)})

    def _holds(self, megabytes: float) -> None:
        if self._ceiling is None:
            return
        if megabytes > self._ceiling * HIGH:
            self._high.bad("mem.high", megabytes=round(megabytes), ceiling=self._ceiling)
        else:
            self._high.well()
        if megabytes > self._ceiling:
            said = f"the process holds {megabytes:.0f} MB, more than `memory_ceiling` allows ({self._ceiling} MB)"
            self._end(LivermoreError(f"{said}: it ends before the system kills it"))


class _Watcher(threading.Thread):
    """Looks at the stack of the thread that made it, once, when that thread's beat is overdue."""

    def __init__(self, packages: Mapping[str, Plugin]) -> None:
        super().__init__(name="livermore-vitals", daemon=True)
        self._watched, self._packages = threading.get_ident(), packages
        self._beats, self._sample = 0, dict[str, Any]()
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._is_over.set()

    def beat(self) -> dict[str, Any]:
        """I am alive; returns who was at work while I was not."""
        self._beats += 1
        sample, self._sample = self._sample, {}
        return sample

    def run(self) -> None:
        beats, since = -1, 0.0
        while not self._is_over.wait(BEAT / 2):
            now = time.monotonic()
            if beats != self._beats:
                beats, since = self._beats, now
            elif now - since > OVERDUE:
                since = float("inf")
                self._sample = _at_work(sys._current_frames().get(self._watched), self._packages)


def _at_work(innermost: FrameType | None, packages: Mapping[str, Plugin]) -> dict[str, Any]:
    """The innermost plugin on a stack, else the innermost function, as fields of an event."""
    stack = list(_stack(innermost))
    for frame in stack:
        plugin = packages.get(_module(frame).partition(".")[0])
        if plugin is not None and plugin.distribution != "livermore":
            named = {"plugin": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
            return {**named, "where": _where(frame)}
    return {"where": _where(stack[0])} if stack else {}


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Frames from the innermost out to the turn of the loop: what lies beyond called the loop, and blocks nothing."""
    while frame is not None:
        yield frame
        if frame.f_code.co_name == "_run_once":
            return
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _where(frame: FrameType) -> str:
    return f"{_module(frame)}.{frame.f_code.co_qualname}:{frame.f_lineno}"
