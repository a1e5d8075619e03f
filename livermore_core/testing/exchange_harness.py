"""Follows an exchange in memory without the app around it: stages and services on whatever loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from livermore_core.bus import Bus
from livermore_core.context import Context
from livermore_core.contributions import Exchange
from livermore_core.exchange.following import Following
from livermore_core.exchange.protocol import ExchangeClient
from livermore_core.exchange.settings import ExchangeSettings
from livermore_core.store.protocol import CandleStore

Service = Callable[[Callable[[], None]], Awaitable[None]]


class Harness:
    """One followed exchange with its services; `said` collects what was reported as (seconds, event, fields).

    Settings: `settings` (of the exchange), `timeframes`, `backfill_timeframes`, `depth`, `symbols`, `retention`,
    `indicators`, `indicator_types`, `empty_buckets`.
    """

    def __init__(self, client: ExchangeClient, store: CandleStore, **settings: Any) -> None:
        self.said: list[tuple[float, str, Mapping[str, Any]]] = []
        self.store, self.bus = store, Bus()
        self._indicators: Mapping[str, Mapping[str, Any]] = settings.pop("indicators", {})
        self._indicator_types: Mapping[str, str] = settings.pop("indicator_types", {})
        self._empty_buckets: str = settings.pop("empty_buckets", "skip")
        timeframes: Sequence[str] = settings.pop("timeframes", ("1m", "5m", "15m", "1h", "4h", "1d"))
        exchange = Exchange("memory", "an exchange in memory", tuple(timeframes), 300, 10.0, "unused:unused")
        self.following = Following(
            exchange=exchange,
            client=client,
            settings=settings.pop("settings", None) or ExchangeSettings(),
            store=store,
            bus=self.bus,
            timeframes=timeframes,
            backfill_timeframes=settings.pop("backfill_timeframes", timeframes[1:]),
            depth=settings.pop("depth", 300),
            symbols=settings.pop("symbols", ("*",)),
            retention=settings.pop("retention", {}),
            log=None,
            report=self._report,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def context(self) -> Context:
        """What a stage of a plugin would be given."""
        return Context(
            plugin="test",
            stage="test",
            settings=None,
            indicators=self._indicators,
            indicator_types=self._indicator_types,
            empty_buckets=self._empty_buckets,
            store=self.store,
            bus=self.bus,
            exchanges={self.following.name: self.following},
            clock=_LoopClock(),
            log=None,
            start=self.start,
            report=self._report,
        )

    async def start(self, service: Service, *, name: str, critical: bool = False) -> None:
        """Run a service until the harness ends; returns once it is ready, raises what it raised before."""
        ready = asyncio.Event()
        task = asyncio.ensure_future(service(ready.set))
        self._tasks.append(task)
        waiter = asyncio.ensure_future(ready.wait())
        await asyncio.wait({waiter, task}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if task.done():
            task.result()

    async def live(self) -> None:
        """Both stages of the exchange, one after the other."""
        await self.following.backfill(self.context)
        await self.following.ingest(self.context)

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """The fields of every report of that name, in order."""
        return [fields for _, event, fields in self.said if event == name]

    async def stop(self) -> None:
        """End every service; raises what one of them died of."""
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _report(self, event: str, fields: Mapping[str, Any]) -> None:
        self.said.append((asyncio.get_running_loop().time(), event, dict(fields)))


class _LoopClock:
    """Monotonic time of the loop, virtual or not."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def harness(client: ExchangeClient, store: CandleStore, **settings: Any) -> AsyncIterator[Harness]:
    """A Harness that stops its services on the way out."""
    running = Harness(client, store, **settings)
    try:
        yield running
    finally:
        await running.stop()
