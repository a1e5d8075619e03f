"""A program that reads beside the run by cursor, through every fault, and what must hold of what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livermore_core import Candle, CandleStore, CursorExpiredError, Event, Series, StoreError, open_reader
from livermore_core.market.intervals import Intervals
from livermore_core.testing import Evidence
from livermore_core.testing.checker import CHECKS

LOOK_EVERY = 0.05
PAGE = 5000
LIVE = "LIVE"
BACKFILLED, FIRST_WORDS = "candles.backfilled", ("candle.closed", "candle.healed")


@dataclass
class Part:
    """What was read without a break: a snapshot, and the events after it."""

    snapshot: dict[Series, dict[int, Candle]]
    events: list[Event] = field(default_factory=list)


class Consumer:
    """Reads the log, and the status, for as long as it runs; connects anew after every refusal, and keeps its cursor.

    `said` is what the status said, with the moment: state, and reasons.
    """

    def __init__(self, url: str, series: Sequence[Series]) -> None:
        self.parts = [Part({})]
        self.said: list[tuple[float, str, Mapping[str, str]]] = []
        self.refused = self.expired = 0
        self._url, self._series, self._cursor = url, series, ""
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                async with open_reader(self._url) as store:
                    while True:
                        await self.take(store)
                        await asyncio.sleep(LOOK_EVERY)
            except StoreError:
                self.refused += 1
            await asyncio.sleep(LOOK_EVERY)

    async def take(self, store: CandleStore) -> None:
        """Read what is new, and the status."""
        try:
            while page := await store.events(after=self._cursor, limit=PAGE):
                self.parts[-1].events += [event for _, event in page]
                self._cursor = page[-1][0]
        except CursorExpiredError as error:
            self.expired += 1
            snapshot = {each: {row.time: row for row in await store.candles(each)} for each in self._series}
            self.parts.append(Part(snapshot))
            self._cursor = error.oldest
        row: Any = await store.read_status()
        if row is not None:
            async with self._looked:
                self.said.append((row["heartbeat_epoch"], _state(row), row["reasons"]))
                self._looked.notify_all()

    async def live(self, since: float, within: float) -> None:
        """Wait until the status, written after `since`, says that all is well. Raises TimeoutError."""
        try:
            async with asyncio.timeout(within), self._looked:
                await self._looked.wait_for(lambda: any(each[0] > since and each[1] == LIVE for each in self.said[-1:]))
        except TimeoutError:
            raise TimeoutError(f"not well within {within:g} s; the status says {self.said[-1:]}") from None

    def reasons(self, since: float) -> set[str]:
        """Every reason that the status gave from this moment on."""
        return {reason for moment, _, reasons in self.said if moment >= since for reason in reasons.values()}


def _state(row: Mapping[str, Any]) -> str:
    gaps = sum(len(each["gaps"]) for each in row["exchanges"])
    return f"{row['state']}, {gaps} gaps" if gaps else str(row["state"])


def broken_promises(consumer: Consumer, evidence: Evidence) -> Iterator[str]:
    """What it was told twice, out of order, or never."""
    for part in consumer.parts:
        told = Evidence(**{**_fields(evidence), "log": part.events})
        yield from CHECKS["E2"](told)
    yield from _never_told(consumer.parts[-1], evidence)


def _never_told(part: Part, evidence: Evidence) -> Iterator[str]:
    """Each row is in the last snapshot, or was announced after it: by itself, or in a range."""
    ranges: dict[Series, Intervals] = {series: Intervals() for series in evidence.series}
    single = {(event.series, event.time, event.revision) for event in part.events if event.candle is not None}
    for event in part.events:
        if event.kind == BACKFILLED:
            ranges[event.series].add(event.time, event.until or event.time)
    for series, rows in evidence.rows.items():
        for row in rows:
            read = part.snapshot.get(series, {}).get(row.time)
            is_in_range = row.revision == 0 and ranges[series].covers(row.time, row.time + 1)
            was_read = read is not None and read.revision == row.revision
            if not (is_in_range or was_read or (series, row.time, row.revision) in single):
                yield f"{series} {row.time}: revision {row.revision} was never told"


def _fields(evidence: Evidence) -> dict[str, Any]:
    return {name: getattr(evidence, name) for name in evidence.__struct_fields__}
