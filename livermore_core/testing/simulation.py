"""A whole run on virtual time: kit, ledger, services and the real SQLite store, under a schedule of faults."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from livermore_core.context import Context
from livermore_core.errors import StoreError
from livermore_core.market.proof import EMPTY_DELAY
from livermore_core.market.series import Series
from livermore_core.store.sqlite import SqliteStore
from livermore_core.testing.checker import Violation, check, compared
from livermore_core.testing.evidence import SETTLED, Evidence, Reference, look
from livermore_core.testing.faults import Fault, fault_schedule, to_text
from livermore_core.testing.faulty_exchange import FaultyExchange
from livermore_core.testing.inline_store import inline_store
from livermore_core.testing.simulated_process import TIMEFRAMES, Journal, Process
from livermore_core.testing.virtual_time import VirtualTimeLoop, run_virtual
from livermore_core.testing.voice_checks import STOPPING

# Not on any boundary: 2024-01-03 08:20:34 UTC.
START = 1_704_270_034.0
HISTORY = 4 * 86_400.0
# Mean seconds between the trades of twelve products, from busy to nearly dead.
MARKETS = {
    f"P{number:02}-USD": mean
    for number, mean in enumerate((4.0, 8.0, 15.0, 25.0, 40.0, 60.0, 90.0, 200.0, 500.0, 1500.0, 6000.0, 40_000.0))
}
HEAL_DEADLINE = 180.0
START_AGAIN = 5.0
# What a fault that does not last may leave behind goes after so many seconds.
CLEAN_UP = 60.0
# A change that only the audit can find is found within so many seconds, whatever else happens.
AUDITED = 7200.0
MOST_PAGES = 2**30 - 1
# So much older than the end of a backfill its newest bucket may be, in seconds.
LONGEST_BACKFILL = 1800.0
# What a start may add to the healing, in seconds of the full pace.
LONGEST_START = 120.0
# Buckets back that must be known before any value is made.
LEAST_DEPTH = 60
STATUS_EVERY, STATUS_WITHIN = 5.0, 35.0
# A silent connection is found out within 15 s, and the next look at the status is 5 s later.
WITHDRAWN_WITHIN = 17.0 + STATUS_EVERY
MOST_WAITING = 5


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a run.

    `healed` are the seconds from the last fault to live and complete; `requests` and `connections` all that were made;
    `said` the reports (seconds, event); `digest` is equal for equal runs; `seconds` is real time.
    """

    seed: int
    hours: float
    faults: list[Fault]
    compared: int
    violations: list[Violation]
    healed: float
    requests: int
    connections: int
    said: list[tuple[float, str]]
    digest: str
    seconds: float


def simulate(
    seed: int,
    hours: float,
    *,
    faults: Sequence[Fault] | None = None,
    per_hour: float = 4.0,
    beat: float = 1.0,
    markets: Mapping[str, float] = MARKETS,
    indicate: Callable[[Context], Awaitable[None]] | None = None,
    indicators: Mapping[str, tuple[str, Reference]] | None = None,
    previews: bool = True,
    folder: Path | None = None,
    see: Callable[[Evidence], None] | None = None,
) -> Outcome:
    """Run `hours` of exchange time on a clock of its own; the same arguments give the same run, event for event.

    `faults` are drawn from the seed if they are not given; `beat` are the seconds from frame to frame. `indicate` is
    the `indicators` stage, `indicators` maps each name to "module:Class" and to what its values are held against.
    Without `previews`, a third of a run's time, nobody wants an open candle. The store lies in `folder`, or in a
    temporary one. `see` is shown the evidence.
    """
    if faults is None:
        faults = fault_schedule(seed, hours, list(markets), per_hour)
    began = time.perf_counter()
    random.seed(f"kit:{seed}")  # the jitter of back-off
    with tempfile.TemporaryDirectory(prefix="livermore-simulation-", dir=folder) as place:
        run = _Run(seed, hours, faults, beat, dict(markets), indicate, indicators or {}, Path(place))
        run.see, run.previews = see, previews
        try:
            outcome = run_virtual(run.run())
        except BaseException as error:
            error.add_note(f"seed {seed}, {hours:g} hours, faults:\n{to_text(faults)}")
            raise
    outcome.seconds = round(time.perf_counter() - began, 3)
    return outcome


class _Run:
    """One run: the process that lives and dies, the faults that come and go, and what was seen of both."""

    def __init__(
        self,
        seed: int,
        hours: float,
        faults: Sequence[Fault],
        beat: float,
        markets: dict[str, float],
        indicate: Callable[[Context], Awaitable[None]] | None,
        indicators: Mapping[str, tuple[str, Reference]],
        folder: Path,
    ) -> None:
        self.seed, self.hours, self.faults = seed, hours, list(faults)
        suspended = sum(fault.amount for fault in faults if fault.kind == "clock.suspend")
        until = START + (hours + 2) * 3600.0 + suspended
        self.exchange = FaultyExchange(markets, start=START, history=HISTORY, until=until, seed=seed, beat=beat)
        self.series = [Series("memory", symbol, timeframe) for symbol in markets for timeframe in TIMEFRAMES]
        self.journal = Journal()
        self.said: list[tuple[float, str, Mapping[str, Any]]] = []
        self.shown: list[tuple[float, str, Mapping[str, str]]] = []
        self.problems: list[Violation] = []
        self.see: Callable[[Evidence], None] | None = None
        self.previews = True
        self._woken_at = 0.0
        self._indicate, self._folder = indicate, folder
        self._places = {name: place for name, (place, _) in indicators.items()}
        self._references = {name: reference for name, (_, reference) in indicators.items()}
        self._process: asyncio.Task[None] | None = None
        self._alive: Process | None = None
        self._running: Process | None = None
        self._store: SqliteStore | None = None

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        self._process = asyncio.create_task(self._live_on())
        watching = asyncio.create_task(self._watch())
        await self._play()
        ended, asked = loop.time(), len(self.exchange.asked)
        is_healed = await self._until(self._is_whole, HEAL_DEADLINE + 600.0)
        healed = loop.time() - ended
        pages = (len(self.exchange.asked) - asked) / self.exchange.requests_per_second
        allowed = HEAL_DEADLINE + min(pages, LONGEST_START)
        if not is_healed or healed > allowed:
            self.problems.append(Violation("H5", f"not live and complete {healed:.0f} s after the last fault"))
        await asyncio.sleep(max(SETTLED + 60.0, self.hours * 3600.0 - loop.time()))
        evidence = await self._evidence()
        if self.see is not None:
            self.see(evidence)
        self._count_waiting()
        watching.cancel()
        await asyncio.wait([watching])
        await self._stop()
        self._count_tasks()
        return Outcome(
            seed=self.seed,
            hours=self.hours,
            faults=self.faults,
            compared=compared(evidence, self.exchange.truth),
            violations=self.problems + check(evidence, self.exchange.truth),
            healed=round(healed, 1),
            requests=len(self.exchange.asked),
            connections=len(self.exchange.connected_at),
            said=[(moment, event) for moment, event, _ in evidence.said],
            digest=hashlib.sha256(msgspec.msgpack.encode(evidence.log)).hexdigest(),
            seconds=0.0,
        )

    # ---- the process ----

    async def _live_on(self) -> None:
        """The process as its supervisor sees it: what dies of its store is started again."""
        while True:
            try:
                await self._live()
            except* StoreError:
                pass
            await asyncio.sleep(START_AGAIN)

    async def _live(self) -> None:
        url = f"sqlite:///{self._folder / 'store.sqlite'}"
        async with inline_store(url) as store:
            self._store = store
            process = self._alive = Process(self.exchange, store, self._places, self.journal, self.previews)
            try:
                await process.following.backfill(process.context)
                self._look_at_the_backfill(process)
                if self._indicate is not None:
                    await self._indicate(process.context)
                await process.following.ingest(process.context)
                process.status.change(is_ready=True)
                self._running = process
                await process.services.broken
            finally:
                self._running = self._store = self._alive = None
                await process.services.stop()
                self.said += [*process.said, (asyncio.get_running_loop().time(), STOPPING, {})]

    def _look_at_the_backfill(self, process: Process) -> None:
        """A series is complete up to now, as far as it can be proven, or said to be incomplete."""
        following = process.following
        moment = following.clock.now
        for ledger in following.recorder.ledgers():
            width = ledger.width
            newest = int((moment - EMPTY_DELAY - LONGEST_BACKFILL) // width) * width
            oldest = max(newest - LEAST_DEPTH * width, int((START - HISTORY) // width + 1) * width)
            wanted = ledger.series.timeframe in following.backfill_timeframes
            if wanted and ledger.unknown(oldest, newest) and str(ledger.series) not in following.incomplete:
                self.problems.append(Violation("H1", f"{ledger.series} is not known at {newest}, and nobody says so"))

    async def _watch(self) -> None:
        """The status must not say LIVE while nothing can come."""
        loop = asyncio.get_running_loop()
        cut_since: float | None = None
        told: set[str] = set()
        while True:
            await asyncio.sleep(STATUS_EVERY)
            if self._alive is not None:
                status = self._alive.status
                self.shown.append((loop.time(), status.state(), status.reasons()))
            if self._running is None or self.exchange.is_connected:
                cut_since = None
                told.clear()
                continue
            # A connection between two looks ends one cut and is followed by another.
            if cut_since is None or any(moment > cut_since for moment in self.exchange.connected_at[-1:]):
                cut_since = loop.time()
                told.clear()
            for invariant, within in (("H2", WITHDRAWN_WITHIN), ("H3", STATUS_WITHIN)):
                # At the instant at which it wakes, the process may have had no turn yet.
                latest = max(cut_since + within, self._woken_at)
                is_late = loop.time() > latest and self._running.status.state() == "LIVE"
                if is_late and invariant not in told:
                    told.add(invariant)
                    what = f"LIVE at {loop.time():.0f}, cut off since {cut_since:.0f}"
                    self.problems.append(Violation(invariant, what))

    async def _stop(self) -> None:
        assert self._process is not None
        self._process.cancel()
        with suppress(asyncio.CancelledError):
            await self._process

    # ---- faults ----

    async def _play(self) -> None:
        """Begin and end each fault at its moment."""
        loop = asyncio.get_running_loop()
        agenda: list[tuple[float, int, bool, Fault]] = []
        for number, fault in enumerate(self.faults):
            heappush(agenda, (fault.at, number, True, fault))
        while agenda:
            moment, number, begins, fault = heappop(agenda)
            await asyncio.sleep(max(0.0, moment - loop.time()))
            if begins:
                await self._begin(fault)
                heappush(agenda, (loop.time() + (fault.lasts or CLEAN_UP), number, False, fault))
            else:
                await self._end(fault)

    async def _begin(self, fault: Fault) -> None:
        loop = asyncio.get_running_loop()
        if fault.kind == "process.restart":
            await self._stop()
            await asyncio.sleep(fault.amount)
            self._process = asyncio.create_task(self._live_on())
        elif fault.kind == "clock.pause":
            assert isinstance(loop, VirtualTimeLoop)
            loop.freeze(fault.amount)
            self._woken_at = loop.time()
        elif fault.kind == "store.full":
            await self._limit_store(1)
        elif fault.kind == "rest.revise" and loop.time() > self.hours * 3600.0 - AUDITED:
            pass  # the audit would not come to it any more
        else:
            self.exchange.begin(fault)

    async def _end(self, fault: Fault) -> None:
        if fault.kind == "store.full":
            await self._limit_store(MOST_PAGES)
        else:
            self.exchange.end(fault)

    async def _limit_store(self, pages: int) -> None:
        """The real SQLITE_FULL: a limit below what there is means no page more."""
        if self._store is not None:
            await self._store._rows(f"PRAGMA max_page_count={pages}")

    # ---- what is seen ----

    def _is_whole(self) -> bool:
        """Live, and nothing is asked for that could be known."""
        running = self._running
        return running is not None and running.following.is_live() and not running.following.gaps()

    async def _until(self, holds: Callable[[], bool], within: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not holds():
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(1.0)
        return True

    async def _evidence(self) -> Evidence:
        assert self._store is not None
        said = self.said + (self._running.said if self._running is not None else [])
        for moment, event, fields in said:
            if event in ("service.failed", "service.given_up") and "SQLITE_FULL" not in str(fields):
                self.problems.append(Violation("V1", f"{event} at {moment:.0f}: {dict(fields)}"))
        return await look(
            self._store,
            self.series,
            now=self.exchange.now(),
            written=self.journal.written,
            published=self.journal.published,
            asked=self.exchange.asked,
            connected_at=self.exchange.connected_at,
            refusals=self.exchange.refusals,
            most_open=self.exchange.most_open,
            rate=self.exchange.requests_per_second,
            said=said,
            references=self._references,
            faults=self.faults,
            felt=self.exchange.felt,
            shown=self.shown,
        )

    def _count_waiting(self) -> None:
        feed = self._running.following.feed if self._running is not None else None
        if feed is not None and feed.backlog.minutes > MOST_WAITING:
            self.problems.append(Violation("B1", f"{feed.backlog.minutes} closed minutes wait to be written"))

    def _count_tasks(self) -> None:
        left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            self.problems.append(Violation("B1", f"{len(left)} tasks are left: {', '.join(sorted(left)[:5])}"))
