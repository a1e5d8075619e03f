"""One stage: every plugin at once, each under its deadline; a failure is its plugin's own, unless it is required."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livermore_core.context import Context
from livermore_core.errors import ExitCode, LivermoreError
from livermore_core.plugins import Plugin, Plugins
from livermore_core.services import Report, Services

SLOW = 10.0
SLOW_AGAIN = 60.0
# A stage without a deadline is long by nature: it is slow when nothing has moved for so long.
UNHURRIED = frozenset({"backfill"})
STALLED = 30.0


class StageRunner:
    """Runs stages, one at a time.

    `failures` gives each optional plugin that failed with its cause; `seconds` how long each stage took,
    `plugin_seconds` each plugin in each; `waiting` names who is not done yet.
    """

    def __init__(
        self,
        plugins: Plugins,
        services: Services,
        *,
        required: frozenset[str],
        followed: tuple[str, ...],
        timeout: float,
        context: Callable[[Plugin, str], Context],
        report: Report,
    ) -> None:
        self.failures: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.plugin_seconds: dict[str, float] = {}
        self.waiting: list[str] = []
        self._plugins, self._services, self._context, self._report = plugins, services, context, report
        self._required, self._followed, self._timeout = required, followed, timeout
        self._moved = 0.0
        self._fatal: LivermoreError | None = None

    def moved(self) -> None:
        """Long work made progress: it is not stalled."""
        self._moved = asyncio.get_running_loop().time()

    async def run(self, stage: str) -> None:
        """Run one stage to its end. Raises LivermoreError where a required plugin failed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.moved()
        self._report("stage.started", {"stage": stage})
        try:
            await self._all(stage)
        except ExceptionGroup:
            if self._fatal is None:
                raise
        if self._fatal is not None:
            raise self._fatal
        self.seconds[stage] = round(loop.time() - began, 3)
        self._report("stage.completed", {"stage": stage, "seconds": self.seconds[stage]})

    async def _all(self, stage: str) -> None:
        async with asyncio.TaskGroup() as group:
            running = {
                group.create_task(self._one(stage, plugin, function, arguments), name=plugin.name)
                for plugin, function, arguments in self._plugins.stage(stage)
                if self._is_wanted(plugin)
            }
            await self._name_the_slow(stage, running)

    def _is_wanted(self, plugin: Plugin) -> bool:
        if plugin.name in self.failures or plugin.name in self._services.failed_owners:
            return False
        exchange = self._plugins.exchange_of(plugin)
        return exchange is None or exchange in self._followed

    async def _name_the_slow(self, stage: str, running: set[asyncio.Task[None]]) -> None:
        """Say who is still at work: at first after some seconds, then once a minute."""
        loop = asyncio.get_running_loop()
        began, warned = loop.time(), -1.0
        is_unhurried = stage in UNHURRIED
        while running:
            self.waiting = sorted(task.get_name() for task in running)
            since = self._moved if is_unhurried else began
            is_first = warned < 0 or (is_unhurried and since > warned)
            due = since + (STALLED if is_unhurried else SLOW) if is_first else warned + SLOW_AGAIN
            if loop.time() >= due:
                warned = loop.time()
                said = {"stage": stage, "waiting_for": self.waiting, "seconds": round(warned - since, 1)}
                self._report("stage.slow", said)
                continue
            _, running = await asyncio.wait(running, timeout=due - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        self.waiting = []

    async def _one(self, stage: str, plugin: Plugin, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        given = {"context": self._context(plugin, stage)}
        within = None if stage in UNHURRIED else self._timeout
        work = function(*(given[name] for name in arguments))
        error = await self._services.bounded(work, name=f"{stage}:{plugin.name}", within=within)
        self.plugin_seconds[f"{stage}:{plugin.name}"] = round(loop.time() - began, 3)
        if error is not None:
            await self._failed(plugin, stage, error)

    async def _failed(self, plugin: Plugin, stage: str, error: Exception) -> None:
        cause = str(error) if isinstance(error, LivermoreError | TimeoutError) else f"{type(error).__name__}: {error}"
        if plugin.name in self._required:
            self._fatal = self._fatal or _fatal(plugin, stage, cause, error)
            raise self._fatal from error
        self.failures[plugin.name] = f"{stage}: {cause}"
        said = {"plugin": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
        self._report("plugin.failed", {**said, "stage": stage, "cause": cause})
        await self._services.stop(plugin.name)


def _fatal(plugin: Plugin, stage: str, cause: str, error: Exception) -> LivermoreError:
    fatal = LivermoreError(
        f"plugin {plugin.name!r} ({plugin.source}) failed in stage {stage}: {cause}"
        + ("" if isinstance(error, LivermoreError) else "; see `livermore plugins` and `livermore doctor`")
    )
    fatal.exit_code = error.exit_code if isinstance(error, LivermoreError) else ExitCode.INTERNAL
    return fatal
