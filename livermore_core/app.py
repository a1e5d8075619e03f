"""The life of a run: open, the stages in order, live until a signal, then everything back in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from livermore_core import ending, log
from livermore_core.apart import Elsewhere, roles_of
from livermore_core.bus import Bus
from livermore_core.config.settings import Settings
from livermore_core.context import Context
from livermore_core.errors import ConfigurationError, ExitCode, LivermoreError, StoreLostError, UnavailableError
from livermore_core.exchange.following import Following
from livermore_core.exchange.trouble import Trouble, reason_of
from livermore_core.hooks import STAGES
from livermore_core.opening import open_exchange, open_store
from livermore_core.plugins import Plugin, Plugins
from livermore_core.reporting import MEND, Reporter
from livermore_core.services import Report, Services
from livermore_core.soundness import Soundness
from livermore_core.stage_runner import StageRunner
from livermore_core.status import Status
from livermore_core.supervisor import Supervisor
from livermore_core.vitals import Vitals

# Seconds between two tries to claim a store whose server is not fit for one any more.
CLAIM_EVERY = 1.0


class App:
    """One run. `bus` carries its announcements; `report` is told every event of its life, as the log is.

    With `until_ready` the run ends after the last stage; with `within` it gives up when it is not ready in time.
    With `standby` it waits for a shared store that another instance holds, where others are refused.
    `left_out` are plugins that a safe start does without, each with the cause.
    """

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        *,
        stages: Collection[str] = STAGES,
        until_ready: bool = False,
        within: float | None = None,
        standby: bool = True,
        left_out: Mapping[str, str] | None = None,
        report: Report | None = None,
        leave: ending.Leave = ending.leave,
    ) -> None:
        self.settings, self.plugins, self.bus = settings, plugins, Bus()
        self.exchanges: dict[str, Any] = {}
        self._stages = [stage for stage in STAGES if stage in stages]
        self._roles = roles_of(self._stages)
        self._until_ready, self._within, self._leave, self._standby = until_ready, within, leave, standby
        self._left_out = dict(left_out or {})
        self._report = Reporter(report, self._moved)
        self._watchdog = ending.Watchdog(leave, partial(self._report, "shutdown.overdue", {}))
        self._supervisor = Supervisor()
        self._lost = Trouble("store.lost", self._report)
        self._runner: StageRunner | None = None
        self._services: Services | None = None
        self._ending: asyncio.Future[LivermoreError | None] | None = None
        self._is_asked, self._is_ready, self._began = False, False, 0.0

    def stop(self, cause: str = "asked") -> None:
        """Ask for an orderly stop; from the loop's own thread."""
        self._report("stopping", {"cause": cause})
        self._is_asked = True
        self._end(None)

    async def run(self) -> ExitCode:
        """Live from the first resource opened to the last one closed. Raises LivermoreError where it had to end."""
        loop = asyncio.get_running_loop()
        self._began, self._ending = loop.time(), loop.create_future()
        if self._is_asked:
            return ExitCode.OK
        with ending.signals(self.stop, self._leave):
            while isinstance(error := await self._lived(), StoreLostError) and not self._is_asked:
                self._lost.bad(reason_of(error, "store.lost"), error)
                self._ending, self._is_ready = loop.create_future(), False
                self.exchanges.clear()
        if error is not None:
            raise error
        return ExitCode.OK

    async def _lived(self) -> LivermoreError | None:
        """One life, and what it had to end with. A store that forgets ends a life, and the next one reads it anew."""
        assert self._ending is not None
        life = asyncio.create_task(self._life(), name="life")
        try:
            await self._until_ended({life, self._ending})
        finally:
            life.cancel()
            await asyncio.wait({life})
            self._watchdog.disarm()
        if self._ending.done() and (error := self._ending.result()) is not None:
            return error
        if not life.cancelled():
            try:
                life.result()
            except StoreLostError as error:
                return error
        return None

    async def _until_ended(self, ends: set[asyncio.Future[Any]]) -> None:
        done, _ = await asyncio.wait(ends, timeout=self._within, return_when=asyncio.FIRST_COMPLETED)
        if not done and not self._is_ready:
            self._end(self._too_late())
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    # ---- from opening to closing, in one task ----

    async def _life(self) -> None:
        self._is_any_exchange_followed()
        self._services = Services(self._report)
        status = Status(self._degraded, self._report)
        status.others["history"] = self._lost
        store: Any = None
        async with AsyncExitStack() as stack:
            try:
                store = await self._open(stack, status)
                if hasattr(store, "claim") and self._roles == {"values"}:
                    await self._follow_elsewhere(store, self._services, status)
                await self._run_stages(store, self._services, status)
                await self._supervised(self._services, status)
                if not self._until_ready:
                    await asyncio.get_running_loop().create_future()
            finally:
                self._watchdog.arm()
                if hasattr(store, "hurry"):
                    store.hurry()
                self._supervisor.say("STOPPING=1")
                status.change(ended="STOPPING")

    def _is_any_exchange_followed(self) -> None:
        if self.settings.followed:
            return
        installed = ", ".join(self.plugins.exchanges)
        raise ConfigurationError(
            f"which exchange? Name one with --exchange; installed: {installed}"
            if installed
            else "no exchange is installed; add one, e.g.: pip install 'livermore[coinbase]'"
        )

    async def _open(self, stack: AsyncExitStack, status: Status) -> Any:
        """Open everything; what is entered last is closed first, and services stop before anything closes."""
        assert self._services is not None
        for note in self.settings.notes:
            self._report("config.note", {"note": note})
        for plugin in self.plugins.found:
            if plugin.state == "broken":
                self._report.broken(plugin)
        if self._left_out:
            self._report("safe_mode", {"left_out": sorted(self._left_out)})
        store = await open_store(stack, self.plugins, self.settings, self._report)
        if getattr(store, "rebuilt", None) is not None:
            self._report("store.rebuilt", {"set_aside": str(store.rebuilt)})
        stack.push_async_callback(status.stopped, store)
        stack.push_async_callback(self._services.stop)
        vitals = Vitals(self._report, self.plugins.found, self._end, ceiling=self.settings.memory_ceiling)
        await self._services.start("livermore", vitals.run, name="vitals")
        status.change(vitals=vitals)
        await self._services.start("livermore", status.service(store), name="status")
        if hasattr(store, "claim"):
            await self._claim(store, status)
        if not hasattr(store, "claim") or "candles" in self._roles:
            for name in self.settings.followed:
                client = await open_exchange(stack, self.plugins, self.settings, name, self._report)
                self.exchanges[name] = self._following(name, client, store)
            # Once more: what works with the exchanges ends before they are closed.
            stack.push_async_callback(self._services.stop)
            status.change(exchanges=self.exchanges)
        self._services.broken.add_done_callback(self._gave_up)
        await self._services.start("livermore", Soundness(store, self._end).run, name="soundness")
        return store

    async def _claim(self, store: Any, status: Status) -> None:
        """Become the one writer of a store that several share; until then this is a standby."""

        def say(event: str, fields: Mapping[str, Any]) -> None:
            self._report(event, fields)
            status.change()

        store.say = say
        status.others["store"] = store.trouble
        status.change(is_standby=True)
        while not await self._claimed(store):  # noqa: ASYNC110
            await asyncio.sleep(CLAIM_EVERY)
        status.change(is_standby=False)
        self._began = asyncio.get_running_loop().time()

    async def _claimed(self, store: Any) -> bool:
        """Whether it could be claimed. A server that was fit once is waited for: who changed it may change it back."""
        try:
            await store.claim(self._roles, wait=self._standby)
        except ConfigurationError as error:
            if self._lost.since is None:
                raise
            store.trouble.bad(reason_of(error, "store.error"), error)
            return False
        store.trouble.well()
        return True

    async def _follow_elsewhere(self, store: Any, services: Services, status: Status) -> None:
        """Another process keeps the candles: wait until it has the history, and listen to it."""
        elsewhere = Elsewhere(store, self.bus, self._report, self._end)
        status.others["ingest"] = elsewhere.trouble
        self.exchanges.update(await elsewhere.exchanges(self.settings.followed))
        await services.start("livermore", elsewhere.run, name="elsewhere", critical=True)
        await services.start("livermore", elsewhere.trim, name="trim")

    def _following(self, name: str, client: Any, store: Any) -> Following:
        exchange, settings = self.plugins.exchanges[name], self.settings
        own: Any = settings.exchanges[name]
        return Following(
            exchange=exchange,
            client=client,
            settings=own,
            store=store,
            bus=self.bus,
            timeframes=[each for each in settings.timeframes if each in exchange.timeframes],
            backfill_timeframes=[each for each in settings.backfill_timeframes if each in exchange.timeframes],
            depth=settings.history,
            symbols=own.symbols,
            retention=settings.retention,
            log=log.get(exchange=name),
            report=self._report,
        )

    # ---- the stages ----

    async def _run_stages(self, store: Any, services: Services, status: Status) -> None:
        self._runner = runner = StageRunner(
            self.plugins,
            services,
            required=self.settings.required,
            followed=self.settings.followed,
            timeout=self.settings.stage_timeout,
            context=partial(self._context, store, services),
            report=self._report,
        )
        for stage in self._stages:
            status.change(stage=stage)
            await runner.run(stage)
        self._is_ready = True
        self._lost.well()
        status.change(stage=None, is_ready=True)
        slowest_first = sorted(runner.plugin_seconds.items(), key=lambda item: -item[1])
        seconds = round(asyncio.get_running_loop().time() - self._began, 3)
        said = {
            "seconds": seconds,
            "degraded": sorted({*self._degraded(), *status.shortcomings()}),
            "stages": runner.seconds,
        }
        self._report("ready", {**said, "plugins": dict(slowest_first)})

    async def _supervised(self, services: Services, status: Status) -> None:
        self._supervisor.say("READY=1")
        if self._supervisor.interval is not None:
            keep_alive = partial(self._supervisor.keep_alive, status.is_progressing)
            await services.start("livermore", keep_alive, name="watchdog")

    def _context(self, store: Any, services: Services, plugin: Plugin, stage: str) -> Context:
        exchange = self.plugins.exchange_of(plugin)
        return Context(
            plugin=plugin.name,
            stage=stage,
            settings=self.settings.exchanges.get(exchange) if exchange else None,
            indicators=self.settings.indicators,
            indicator_types={name: each.reference for name, each in self.plugins.indicators.items()},
            indicator_versions={
                name: self.plugins.owner("register_indicators", name).version for name in self.plugins.indicators
            },
            empty_buckets=self.settings.empty_buckets,
            store=store,
            bus=self.bus,
            exchanges=self.exchanges,
            clock=_LoopClock(),
            log=log.get(plugin=plugin.name, stage=stage),
            start=partial(services.start, plugin.name),
            report=self._report,
        )

    def _degraded(self) -> dict[str, str]:
        """The plugins that were left out, failed in a stage, or by a service that gave up, with the cause."""
        failures = self._left_out | (self._runner.failures if self._runner is not None else {})
        return failures | (self._services.degraded() if self._services is not None else {})

    def _moved(self) -> None:
        if self._runner is not None:
            self._runner.moved()

    # ---- endings ----

    def _end(self, error: LivermoreError | None) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(error)

    def _gave_up(self, broken: asyncio.Future[None]) -> None:
        said = "; ".join(f"plugin {name!r}: {cause}" for name, cause in self._degraded().items())
        self._end(LivermoreError(f"a critical service gave up, and the run with it: {said}"))

    def _too_late(self) -> UnavailableError:
        waiting = self._runner.waiting if self._runner is not None else []
        outages = "; ".join(f"{name} cannot be reached: {cause}" for name, cause in self._report.outages.items())
        reason = outages or f"waiting for {', '.join(waiting) or 'the store'}"
        return UnavailableError(f"not ready within {self._within:g} s: {reason}; {MEND}")


class _LoopClock:
    """Monotonic real time, as the loop has it."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
