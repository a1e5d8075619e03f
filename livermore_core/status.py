"""The status row: what a run says of itself to other processes, every 5 seconds and on change."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from livermore_core.errors import StoreError
from livermore_core.exchange.trouble import Trouble, reason_of
from livermore_core.masking import everywhere, harmless
from livermore_core.version import __version__

if TYPE_CHECKING:
    from livermore_core.exchange.following import Following
    from livermore_core.store.protocol import CandleStore
    from livermore_core.vitals import Vitals

EVERY = 5.0
# Where the last one could not be written: what is wrong with the store shall be read before it is over.
AGAIN = 1.0
# Many changes at once are one row.
AT_LEAST = 0.2

STATES = ("STANDBY", "STARTING", "BACKFILLING", "WARMING", "LIVE", "DEGRADED", "STOPPING", "STOPPED")
# Seconds after which a row says nothing of its process any more.
FRESH = 30.0
NOT_RUNNING, STUCK = "NOT RUNNING", "STUCK, KILLED, OR UNABLE TO WRITE"
_OF_STAGE = {None: "STARTING", "backfill": "BACKFILLING", "indicators": "WARMING", "ingest": "WARMING"}


class Status:
    """Keeps what is known of the run and writes it as a service.

    `is_standby` while another instance holds the store; `stage` is the one that runs now; `is_ready` after the last;
    `ended` is STOPPING or STOPPED once it is so; `degraded` gives each failed plugin with its cause.
    """

    def __init__(
        self, degraded: Callable[[], Mapping[str, str]], report: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self.stage: str | None = None
        self.is_ready = False
        self.ended = ""
        self.exchanges: dict[str, Following] = {}
        self.vitals: Vitals | None = None
        self.is_standby = False
        # What is out of order besides, by what it is of.
        self.others: dict[str, Trouble] = {}
        self._degraded = degraded
        self._unwritten = Trouble("status.unwritten", report)
        self._started = datetime.now(UTC)
        self._changed = asyncio.Event()
        self._stages: set[str | None] = set()

    def change(self, **values: Any) -> None:
        """Set attributes and have the row written soon."""
        for name, value in values.items():
            setattr(self, name, value)
        self._stages.add(self.stage)
        self._changed.set()

    def reasons(self) -> dict[str, str]:
        """Why the run is not, or not wholly, live: plugins and exchanges by name, and what of an exchange it is."""
        reasons = {**self._degraded(), **(self.vitals.reasons() if self.vitals is not None else {})}
        for name, following in self.exchanges.items():
            reasons |= {part: trouble.reason for part, trouble in following.troubles().items()}
            if self.is_ready and following.feed is None and "ingest" in self._stages:
                reasons[f"{name}.feed"] = "feed.not_started"
        reasons |= {part: other.reason for part, other in self.others.items() if other.since is not None}
        return reasons | self.shortcomings()

    def shortcomings(self) -> dict[str, str]:
        """What of the exchanges was started and is not wholly live, once the last stage has ended, and the reason."""
        return {
            f"{name}.{what}": reason
            for name, following in self.exchanges.items()
            for what, reason in following.shortcomings().items()
            if self.is_ready
        }

    def is_progressing(self) -> bool:
        """Whether the run gets on with its work, or has said of an exchange why it cannot."""
        return not self.is_ready or all(
            following.is_progressing() or not following.is_live() or following.is_excused()
            for following in self.exchanges.values()
        )

    def state(self) -> str:
        """One of STATES."""
        if self.ended:
            return self.ended
        if self.is_standby:
            return "STANDBY"
        if not self.is_ready:
            return _OF_STAGE[self.stage]
        return "DEGRADED" if self.reasons() else "LIVE"

    def row(self) -> dict[str, Any]:
        """The row, JSON-able."""
        now = datetime.now(UTC)
        row = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": __version__,
            "started": _iso(self._started),
            "state": self.state(),
            "reasons": self.reasons(),
            "stage": self.stage,
            "vitals": self.vitals.row() if self.vitals is not None else {},
            "exchanges": [following.status() for following in self.exchanges.values()],
            "heartbeat": _iso(now),
            "heartbeat_epoch": now.timestamp(),
        }
        return dict(everywhere(harmless, row))

    def service(self, store: CandleStore) -> Callable[[Callable[[], None]], Any]:
        """The service that keeps the row in `store` fresh."""

        async def keep(ready: Callable[[], None]) -> None:
            await self.write(store)
            ready()
            while True:
                try:
                    async with asyncio.timeout(EVERY if self._unwritten.since is None else AGAIN):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                self._changed.clear()
                await self.write(store)
                await asyncio.sleep(AT_LEAST)

        return keep

    async def stopped(self, store: CandleStore) -> None:
        """Write the last row."""
        self.ended = "STOPPED"
        await self.write(store)

    async def write(self, store: CandleStore) -> None:
        """Write the row now. What it means that a store refuses, the writers of candles decide."""
        try:
            async with asyncio.timeout(EVERY):
                await store.write_status(self.row())
        except StoreError as error:
            self._unwritten.bad(reason_of(error, "store.error"), error)
        except TimeoutError:
            self._unwritten.bad("store.timeout")
        else:
            self._unwritten.well()


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def follower(status: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The row of the process that follows the exchanges, if there is one; a store of one process has no other row."""
    return status if status is not None and "candles" in status.get("holds", ["candles"]) else None


def state_of(row: Mapping[str, Any] | None) -> str:
    """What a status row says of its process, or that it is gone."""
    if row is None or row["state"] == "STOPPED":
        return NOT_RUNNING
    return str(row["state"]) if time.time() - row["heartbeat_epoch"] < FRESH else STUCK
