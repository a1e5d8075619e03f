"""Supervision of long-running tasks: started until ready, restarted with back-off, stopped newest first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from livermore_core.context import Service
from livermore_core.errors import leaf
from livermore_core.exchange.trouble import HEALTHY, Trouble

ATTEMPTS = 5
LONGEST_PAUSE = 60.0
GRACE = 2.0
# However many services ignore their cancellation, stopping all of them takes no longer than this and a bit.
STOP_WITHIN = 8.0
LEAST_GRACE = 0.05

Report = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True, eq=False)
class _Running:
    owner: str
    name: str
    critical: bool
    trouble: Trouble
    ready: asyncio.Future[None]
    task: asyncio.Task[Any] = field(init=False)

    def say_ready(self) -> None:
        self.trouble.well()
        if not self.ready.done():
            self.ready.set_result(None)

    def ended(self, task: asyncio.Task[Any]) -> None:
        self.trouble.drop()
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(f"service {self.name!r} was stopped before it was ready"))
            self.ready.exception()  # nobody may be waiting any more


class Services:
    """The services of a run. `broken` is set to the error of the first critical service that gave up.

    A service that fails is started again after min(60 s, 0.5 s * 2^n) with jitter; after ATTEMPTS failures without
    HEALTHY seconds between them it is given up: `failed` then holds its error, `failed_owners` the plugin with the
    cause, and a critical one ends the run. `abandoned` are tasks that ignored their cancellation.
    """

    def __init__(self, report: Report) -> None:
        self.failed: dict[str, BaseException] = {}
        self.failed_owners: dict[str, str] = {}
        self.abandoned: set[asyncio.Task[Any]] = set()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._report = report
        self._running: list[_Running] = []
        self._stopped: set[str | None] = set()

    def degraded(self) -> dict[str, str]:
        """The plugins with a service that gave up, or failed and is not yet well again, with code and cause."""
        troubled = [running for running in self._running if running.trouble.since is not None]
        failing = {each.owner: f"{each.trouble.reason}: {each.name}: {each.trouble.cause}" for each in troubled}
        return failing | self.failed_owners

    async def start(self, owner: str, service: Service, *, name: str, critical: bool = False) -> None:
        """Run `service` until the end; returns once it has called ready(), raises what it raised before that."""
        if self._stopped & {None, owner}:
            raise RuntimeError(f"service {name!r} comes too late: {owner} has been stopped")
        trouble = Trouble("service.failed", self._report, settles=HEALTHY, service=name, plugin=owner)
        running = _Running(owner, name, critical, trouble, asyncio.get_running_loop().create_future())
        running.task = asyncio.create_task(self._supervise(running, service), name=f"{owner}:{name}")
        running.task.add_done_callback(running.ended)
        self._running.append(running)
        await asyncio.shield(running.ready)

    async def stop(self, owner: str | None = None) -> None:
        """Cancel the services (of `owner`), newest first, each with GRACE seconds; one that stays is named."""
        self._stopped.add(owner)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_WITHIN
        chosen = [each for each in reversed(self._running) if owner in (None, each.owner)]
        self._running = [each for each in self._running if each not in chosen]
        for running in chosen:
            grace = min(GRACE, max(LEAST_GRACE, deadline - loop.time()))
            if not await self._end(running.task, grace):
                self._report("service.unstoppable", {"service": running.name, "plugin": running.owner})

    async def bounded(self, work: Coroutine[Any, Any, None], *, name: str, within: float | None) -> Exception | None:
        """Run `work` in a task of its own, cancelled with the caller or after `within` seconds; what it raised, if so.

        Never waits longer than GRACE for work that ignores its cancellation: it is named and abandoned.
        """
        task = asyncio.create_task(_outcome(work), name=name)
        try:
            done, _ = await asyncio.wait({task}, timeout=within)
        except asyncio.CancelledError:
            await self._bury(task, name)
            raise
        if done:
            return RuntimeError("it cancelled itself") if task.cancelled() else task.result()
        await self._bury(task, name)
        return TimeoutError(f"not done within {within:g} s")

    async def _bury(self, task: asyncio.Task[Any], name: str) -> None:
        if not await self._end(task, GRACE):
            self._report("plugin.unstoppable", {"task": name})

    async def _end(self, task: asyncio.Task[Any], grace: float) -> bool:
        """Cancel a task and wait; whether it ended. One that did not is kept, so that its end is not a surprise."""
        task.cancel()
        await asyncio.wait({task}, timeout=grace)
        if task.done():
            _retrieve(task)
            return True
        self.abandoned.add(task)
        task.add_done_callback(self.abandoned.discard)
        task.add_done_callback(_retrieve)
        return False

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
            if failures >= ATTEMPTS:
                self._give_up(running, error)
                return
            running.trouble.bad("service.failed", _cause(error))
            await asyncio.sleep(min(LONGEST_PAUSE, 0.5 * 2.0**failures) * random.uniform(0.5, 1.0))

    async def _once(self, running: _Running, service: Service) -> BaseException | None:
        """One life of a service: None where it ended as it should, else what it died of."""
        try:
            await service(running.say_ready)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return RuntimeError("the service cancelled itself")
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            return leaf(error)
        return None if running.ready.done() else RuntimeError("the service returned without calling ready()")

    def _give_up(self, running: _Running, error: BaseException) -> None:
        cause = _cause(error)
        self.failed[running.name] = error
        self.failed_owners[running.owner] = f"service.given_up: {running.name}: {cause}"
        self._report("service.given_up", {"service": running.name, "plugin": running.owner, "cause": cause})
        if running.critical and not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # whoever waits is told; nobody waiting is no warning


async def _outcome(work: Coroutine[Any, Any, None]) -> Exception | None:
    """What `work` raised. A SystemExit must not leave a task: asyncio would take the whole loop down with it."""
    try:
        await work
    except (SystemExit, KeyboardInterrupt) as error:
        return RuntimeError(f"it tried to end the process: {type(error).__name__}({error})")
    except Exception as error:
        cause = leaf(error)
        return cause if isinstance(cause, Exception) else error
    return None


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
