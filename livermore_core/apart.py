"""Processes apart: what a run does that computes on candles which another process keeps, in a store they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from livermore_core.bus import Bus
from livermore_core.errors import CursorExpiredError, LivermoreError, StoreLostError
from livermore_core.exchange.trouble import Trouble
from livermore_core.market.events import EMPTY, Event
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.status import NOT_RUNNING, STUCK, follower, state_of

if TYPE_CHECKING:
    from livermore_core.store.protocol import CandleStore

# Seconds between two looks at the row of the other process.
LOOK_EVERY = 1.0
TRIM_EVERY = 600.0
PAGE = 1000
# What the other process is past: from here on its history is complete, or it has said of what it is not.
COMPLETE = ("WARMING", "LIVE", "DEGRADED")


def roles_of(stages: Collection[str]) -> frozenset[str]:
    """What a run of these stages writes: candles, values, or both."""
    candles = {"candles"} if {"backfill", "ingest"} & set(stages) else set()
    return frozenset(candles | ({"values"} if "indicators" in stages else set()))


@dataclass(frozen=True)
class FollowedElsewhere:
    """An exchange that another process follows: what an indicator needs to know of it."""

    name: str
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]


class Elsewhere:
    """The process that follows the exchanges, as the store tells of it; its announcements come on the bus of this one.

    `end` is called where what it does is no longer what this run was started on. `trouble`: it is not there.
    """

    def __init__(
        self,
        store: CandleStore,
        bus: Bus,
        report: Callable[[str, Mapping[str, Any]], None],
        end: Callable[[LivermoreError], None],
    ) -> None:
        self.trouble = Trouble("ingest.absent", report)
        self._store, self._bus, self._end = store, bus, end
        self._exchanges: dict[str, FollowedElsewhere] = {}
        # Up to where the log was handed on; nothing before the first life of `run`.
        self._cursor = ""
        # Up to where it was told, or in the log, what became known.
        self._told: dict[Series, int] = {}

    async def exchanges(self, names: Sequence[str]) -> dict[str, FollowedElsewhere]:
        """Wait until each of these is followed and its history is complete."""
        while True:
            row = follower(await self._store.read_status())
            found = _followed(row)
            if state_of(row) in COMPLETE and set(names) <= found.keys():
                self._exchanges = {name: found[name] for name in names}
                self.trouble.well()
                return self._exchanges
            self.trouble.bad(
                "ingest.absent", "no other process follows the exchange; start one: --stages backfill,ingest"
            )
            await asyncio.sleep(LOOK_EVERY)

    async def run(self, ready: Callable[[], None]) -> None:
        """The service: hand on what the log tells, also what came while it was being started anew."""
        if not self._cursor:
            self._cursor = await self._store.head()
            # Whoever warms up from here on reads at least as much.
            self._told = {series: known.end or 0 for series, known in (await self._coverage()).items()}
        ready()
        loop, looked = asyncio.get_running_loop(), 0.0
        while True:
            await self._store.wait(self._cursor, LOOK_EVERY)
            # Before the log: what it then tells is at least as new.
            known = await self._coverage() if self._bus.wants(EMPTY) else {}
            try:
                await self._hand_on()
            except CursorExpiredError as error:
                self._end(StoreLostError(f"store.lost: this run fell too far behind: {error}"))
                return
            self._tell_empty(known)
            if loop.time() >= looked + LOOK_EVERY:
                looked = loop.time()
                await self._look()

    async def trim(self, ready: Callable[[], None]) -> None:
        """The service: keep the log of what is written here within its bounds, as nobody else may."""
        ready()
        while True:
            await asyncio.sleep(TRIM_EVERY)
            await self._store.trim({})

    async def _hand_on(self) -> None:
        while page := await self._store.events(self._cursor, PAGE):
            for self._cursor, event in page:
                if event.value is None:
                    self._bus.publish(event, self._cursor)

    async def _coverage(self) -> dict[Series, Intervals]:
        all_series = (
            Series(each.name, symbol, timeframe)
            for each in self._exchanges.values()
            for symbol in each.symbols
            for timeframe in each.timeframes
        )
        return {series: await self._store.coverage(series) for series in all_series}

    def _tell_empty(self, known: Mapping[Series, Intervals]) -> None:
        """Whoever runs by the clock hears that it went on without a trade, which is not in the log."""
        for series, intervals in known.items():
            start, end = self._told.get(series, 0), intervals.end or 0
            # Beyond a hole nothing is said: once it is filled, the log says so.
            if start < end and intervals.covers(start, end):
                exchange, symbol, timeframe = series
                event = Event(kind=EMPTY, exchange=exchange, symbol=symbol, timeframe=timeframe, time=start, until=end)
                self._bus.publish(event)
            self._told[series] = end

    async def _look(self) -> None:
        row = follower(await self._store.read_status())
        if state_of(row) in (NOT_RUNNING, STUCK):
            self.trouble.bad("ingest.absent", "the process that follows the exchange is gone")
            return
        self.trouble.well()
        found = _followed(row)
        changed = [name for name, each in self._exchanges.items() if found.get(name, each) != each]
        if changed:
            self._end(StoreLostError(f"ingest.changed: other symbols or timeframes are followed of {changed[0]} now"))


def _followed(row: Mapping[str, Any] | None) -> dict[str, FollowedElsewhere]:
    return {
        each["name"]: FollowedElsewhere(each["name"], tuple(each["symbols"]), tuple(each["timeframes"]))
        for each in (row or {}).get("exchanges", ())
        if each["symbols"]
    }
