"""The process of a simulation: a followed exchange as the app supervises it, whose writes and words are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from livermore_core.errors import StoreError
from livermore_core.market.events import OPEN, Event
from livermore_core.services import Services
from livermore_core.status import Status
from livermore_core.store.protocol import Batch, CandleStore
from livermore_core.testing.exchange_harness import Harness, Service
from livermore_core.testing.faulty_exchange import FaultyExchange

TIMEFRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")


class Journal:
    """What was acknowledged, with the exchange's moment, and what was announced after how many of these.

    It outlives the processes that write into it.
    """

    def __init__(self) -> None:
        self.written: list[tuple[float, Batch]] = []
        self.published: list[tuple[int, Event]] = []


class Process(Harness):
    """From a start to its death; `indicators` maps each name to "module:Class"; without `previews` nobody wants any."""

    def __init__(
        self,
        exchange: FaultyExchange,
        store: CandleStore,
        indicators: Mapping[str, str],
        journal: Journal,
        previews: bool = True,
    ) -> None:
        super().__init__(
            exchange,
            _Journaled(store, exchange, journal),
            timeframes=TIMEFRAMES,
            indicators={name: {} for name in indicators},
            indicator_types=indicators,
        )
        self.services = Services(self._report)
        self.status = Status(self.services.degraded, self._report)
        self.status.exchanges = {self.following.name: self.following}
        publish = self.bus.publish

        def publish_and_keep(event: Event, cursor: str = "") -> None:
            journal.published.append((len(journal.written), event))
            publish(event, cursor)

        self.bus.publish = publish_and_keep  # type: ignore[method-assign]
        if not previews:
            self.bus.wants = lambda kind: kind != OPEN  # type: ignore[method-assign]

    async def start(self, service: Service, *, name: str, critical: bool = False) -> None:
        """As the app starts one: again after a failure, until it is given up."""
        await self.services.start("simulation", service, name=name, critical=critical)


class _Journaled:
    """A store whose acknowledged writes are kept, and whose refusals are felt."""

    def __init__(self, store: CandleStore, exchange: FaultyExchange, journal: Journal) -> None:
        self._store, self._exchange, self._journal = store, exchange, journal

    async def transact(self, batch: Batch) -> str:
        try:
            cursor = await self._store.transact(batch)
        except StoreError:
            if any(change.covered or change.uncovered for change in batch.changes):
                self._exchange.felt.append((asyncio.get_running_loop().time(), "store.full"))
            raise
        self._journal.written.append((self._exchange.now(), batch))
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
