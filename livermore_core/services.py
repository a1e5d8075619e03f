"""Supervision of long-running tasks: started until ready, restarted with back-off, stopped newest first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from livermore_core.context import Service

ATTEMPTS = 5
HEALTHY = 60.0
GRACE = 2.0


@dataclass(slots=True, eq=False)
class _Running:
    owner: str
    name: str
    critical: bool
    ready: asyncio.Future[None]
    task: asyncio.Task[None] = field(init=False)

    def say_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


class Services:
    """The services of a run. `broken` is set to the error of the first critical service that gave up.

    A service that fails is started again after min(60 s, 0.5 s * 2^n) with jitter; after ATTEMPTS failures without
    HEALTHY seconds between them it is given up: `failed` then holds it, and a critical one ends the run.
    """

    def __init__(self, report: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.failed: dict[str, BaseException] = {}
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._report = report
        self._running: list[_Running] = []

    async def start(self, owner: str, service: Service, *, name: str, critical: bool = False) -> None:
        """Run `service` until the end; returns once it has called ready(), raises what it raised before that."""
        running = _Running(owner, name, critical, asyncio.get_running_loop().create_future())
        running.task = asyncio.create_task(self._supervise(running, service), name=name)
        self._running.append(running)
        await asyncio.shield(running.ready)

    async def stop(self, owner: str | None = None) -> None:
        """Cancel the services (of `owner`), newest first, each with GRACE seconds; one that stays is named."""
        for running in [each for each in reversed(self._running) if owner in (None, each.owner)]:
            running.task.cancel()
            await asyncio.wait({running.task}, timeout=GRACE)
            if not running.task.done():
                self._report("service.unstoppable", {"service": running.name, "plugin": running.owner})
            self._running.remove(running)

    async def _supervise(self, running: _Running, service: Service) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            error = await self._once(running, service)
            if error is None:
                return
            if not running.ready.done():
                running.ready.set_exception(error)
                return
            failures = 1 if loop.time() - began > HEALTHY else failures + 1
            said = {"service": running.name, "plugin": running.owner, "cause": f"{type(error).__name__}: {error}"}
            if failures >= ATTEMPTS:
                self._report("service.given_up", said)
                self._give_up(running, error)
                return
            self._report("service.failed", said)
            await asyncio.sleep(min(60.0, 0.5 * 2.0**failures) * random.uniform(0.5, 1.0))

    async def _once(self, running: _Running, service: Service) -> BaseException | None:
        """One life of a service: None where it ended as it should, else what it died of."""
        try:
            await service(running.say_ready)
        except (Exception, SystemExit) as error:
            return error
        return None if running.ready.done() else RuntimeError("the service returned without calling ready()")

    def _give_up(self, running: _Running, error: BaseException) -> None:
        self.failed[running.name] = error
        if running.critical and not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # whoever waits is told; nobody waiting is no warning
