"""The backfill stage of one exchange: fetch the history that is missing, short timeframes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from livermore_core.errors import CredentialsError, PermanentError, TransientError
from livermore_core.exchange.heal import BACKFILL, DEEP, Healer, backoff
from livermore_core.market.intervals import Intervals
from livermore_core.market.ledger import Ledger
from livermore_core.market.proof import EMPTY_DELAY, RECHECK_DELAY, Proof
from livermore_core.market.timeframe import WIDTHS, floor

TIMEFRAME_PRIORITY = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d")


class BackfillConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How deep and how patiently: `depth` traded candles per series, at most `pages` in the stage, `attempts` each.

    `retention` buckets back is as far as a search for traded candles ever goes.
    """

    depth: int = 300
    pages: int = 10
    attempts: int = 5
    retention: int = 20_000


REASON = "backfill"
# A product that has not traded for so many days before its first day candle was not listed before it.
QUIET_DAYS = 100
REPORT_EVERY = 0.25

DEFAULT_BACKFILL_CONFIG = BackfillConfig()


class _Job:
    """One series on its way to the wanted depth."""

    def __init__(self, ledger: Ledger, rank: int) -> None:
        self.ledger, self.rank = ledger, rank
        self.pages = 0
        self.failures = 0
        self.seen = 0
        self.cause = ""
        self.estimate = 1
        self.learned, self.traded = Intervals(), 0

    def learn(self, proof: Proof) -> None:
        """Count what a page of this job proved."""
        for start, end in proof.covered:
            self.learned.add(start, end)
        self.traded += len(proof.rows)


class StartupBackfillService:
    """Plans from the ledger and fetches until every series has its depth, its beginning is reached, or it has failed.

    `await service.backfill(symbols, timeframes)` returns the series that failed, with the cause; they go on healing.
    """

    def __init__(
        self,
        healer: Healer,
        config: BackfillConfig = DEFAULT_BACKFILL_CONFIG,
        *,
        listed: Mapping[str, int] | None = None,
        report: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None,
    ) -> None:
        self.healer, self.config, self._report = healer, config, report
        self._listed = dict(listed or {})
        self._searched: dict[str, int] = {}
        self._looking: dict[str, asyncio.Lock] = {}
        self._jobs: list[_Job] = []
        self._done = self._total = self._errors = 0
        self._started = self._reported = 0.0
        self._percent = 0.0
        self._moment = 0.0

    async def backfill(self, symbols: Sequence[str], timeframes: Sequence[str]) -> dict[str, str]:
        """Fill the wanted depth of each series; returns {series: cause} of those that could not be completed."""
        self._started = asyncio.get_running_loop().time()
        self._jobs = [
            _Job(self.healer.recorder.ledger(symbol, timeframe), TIMEFRAME_PRIORITY.index(timeframe))
            for timeframe in sorted(timeframes, key=WIDTHS.__getitem__)
            for symbol in symbols
        ]
        self._moment = await self._now()
        await self._plan()
        self._report("backfill.started", {"series": len(self._jobs), "requests": self._total})
        self._progress()
        before = self.healer.requests
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._series(job), name=f"backfill {job.ledger.series}")
        self._finish(self.healer.requests - before)
        return {str(job.ledger.series): job.cause for job in self._jobs if job.cause}

    # ---- one series ----

    async def _series(self, job: _Job) -> None:
        while True:
            page = await self._next_page(job)
            if page is None:
                self._settle(job)
                return
            if job.pages >= self.config.pages:
                self._later(job, page)
                return
            if not await self._fetch(job, *page):
                self._later(job, page)
                return

    async def _fetch(self, job: _Job, start: int, end: int) -> bool:
        """Ask for one page, again while the exchange cannot be reached; False once the series has failed."""
        width = job.ledger.width
        while True:
            try:
                proof = await self.healer.fetch(
                    job.ledger.series,
                    start,
                    end,
                    priority=(BACKFILL, job.rank, job.pages),
                    live=False,
                    derive=False,
                )
            except (PermanentError, CredentialsError) as error:
                return self._fail(job, error)
            except TransientError as error:
                if await self.healer.gets_through(job.seen):
                    job.failures += 1
                    job.seen = self.healer.successes
                self._errors += 1
                self._progress()
                if job.failures >= self.config.attempts:
                    return self._fail(job, error)
                await asyncio.sleep(backoff(job.failures))
                continue
            job.pages += 1
            if not proof.covered and end + RECHECK_DELAY + width < self.healer.clock.now:
                return self._fail(job, TransientError("the answer proves nothing about its range"))
            job.learn(proof)
            self._done += 1
            job.estimate -= 1
            self._progress()
            return True

    async def _next_page(self, job: _Job) -> tuple[int, int] | None:
        """The newest unknown range of the wanted window, at most a page; None when the series has what it wants."""
        ledger, config = job.ledger, self.config
        width = ledger.width
        end = self._end(ledger)
        reach = config.depth * width
        within = config.pages * self.healer.page_size
        limit = max(end - within * width, self._beginning(ledger), 0)
        while True:
            start = max(end - reach, limit)
            holes = ledger.unknown(start, end)
            if holes:
                until = holes[-1][1]
                return max(holes[0][0], until - self.healer.page_size * width), until
            if start <= self._beginning(ledger):
                return None
            if await self._traded(job, start, end) >= config.depth:
                return None
            begins = await self._begins(ledger.series.symbol, start - self.healer.page_size * width)
            if begins is not None:
                limit = max(limit, begins // width * width)
                if start <= limit:
                    return None
            if start <= end - within * width:
                self._go_on(ledger, start)
                return None
            reach += self.healer.page_size * width

    async def _traded(self, job: _Job, start: int, end: int) -> int:
        """The candles of [start, end): counted as they came where this job alone brought them, else by the store."""
        ledger = job.ledger
        if ledger.coverage.within(start, end) == job.learned.within(start, end):
            return job.traded
        return await self.healer.recorder.store.count(ledger.series, start, end)

    async def _begins(self, symbol: str, start: int) -> int | None:
        """Where the history of `symbol` begins, if that is after `start`: the day candles show QUIET_DAYS without any.

        An empty page of a shorter timeframe may be a halt, so only days decide.
        """
        day = WIDTHS["1d"]
        page = self.healer.page_size * day
        async with self._looking.setdefault(symbol, asyncio.Lock()):
            since = self._searched.get(symbol, floor(self._moment - EMPTY_DELAY, "1d"))
            while symbol not in self._listed and since > start - QUIET_DAYS * day:
                rows = await self.healer.rows(symbol, "1d", since - page, since)
                if rows is None:
                    break
                first = rows[0].time if rows else since
                if first - (since - page) >= QUIET_DAYS * day:
                    self._listed[symbol] = first
                since -= page
                self._searched[symbol] = since
        return self._listed.get(symbol)

    def _beginning(self, ledger: Ledger) -> int:
        listed = self._listed.get(ledger.series.symbol, 0)
        return listed // ledger.width * ledger.width

    def _end(self, ledger: Ledger) -> int:
        """The end of the last bucket of which any answer is a proof: a younger one may be absent and not EMPTY."""
        return floor(self._moment - EMPTY_DELAY, ledger.series.timeframe)

    # ---- what becomes of it ----

    def _fail(self, job: _Job, error: Exception) -> bool:
        job.cause = str(error) or type(error).__name__
        self._report("backfill.series_failed", {"series": str(job.ledger.series), "cause": job.cause})
        return False

    def _later(self, job: _Job, page: tuple[int, int]) -> None:
        """Leave what could not be fetched to the healer."""
        within = self.config.depth * 10 * job.ledger.width
        start = max(self._end(job.ledger) - within, self._beginning(job.ledger), 0)
        self.healer.want(job.ledger.series, start, page[1], REASON, priority=BACKFILL)
        self._settle(job)

    def _go_on(self, ledger: Ledger, end: int) -> None:
        """A thin series goes on after the stage, at the lowest priority, as far back as anything is kept."""
        start = max(self._end(ledger) - self.config.retention * ledger.width, self._beginning(ledger), 0)
        if ledger.unknown(start, end):
            self.healer.want(ledger.series, start, end, REASON, priority=DEEP)

    def _settle(self, job: _Job) -> None:
        """The series needs nothing more: take its unused estimate off the total."""
        self._total -= job.estimate
        job.estimate = 0
        self._progress()

    # ---- plan and progress ----

    async def _now(self) -> float:
        """The exchange's moment, asked until it answers: everything is planned from it."""
        attempt = 0
        while True:
            try:
                moment = await self.healer.time()
            except TransientError:
                await asyncio.sleep(backoff(attempt))
                attempt += 1
                continue
            return moment

    async def _plan(self) -> None:
        for job in self._jobs:
            page = await self._next_page(job)
            job.estimate = 0 if page is None else self._pages(job, page)
            self._total += job.estimate

    def _pages(self, job: _Job, page: tuple[int, int]) -> int:
        end = self._end(job.ledger)
        start = max(end - self.config.depth * job.ledger.width, self._beginning(job.ledger), 0)
        missing = sum(high - low for low, high in job.ledger.unknown(start, end)) or page[1] - page[0]
        return -(-missing // (self.healer.page_size * job.ledger.width))

    def _progress(self) -> None:
        total = max(self._total, self._done)
        percent = 100.0 * self._done / total if total else 100.0
        # A total that grows as thin series turn out to need more pages must not turn the bar back.
        self._percent = max(self._percent, min(percent, 99.0 if self._busy() else 100.0))
        now = asyncio.get_running_loop().time()
        if now < self._reported + REPORT_EVERY and self._done < total:
            return
        self._reported = now
        elapsed = max(1e-9, now - self._started)
        rate = self._done / elapsed
        self._report(
            "backfill.progress",
            {
                "done": self._done,
                "total": total,
                "percent": round(self._percent, 1),
                "rate": round(rate, 2),
                "eta_seconds": round((total - self._done) / rate, 1) if rate else None,
                "errors": self._errors,
            },
        )

    def _busy(self) -> bool:
        return any(job.estimate > 0 for job in self._jobs)

    def _finish(self, requests: int) -> None:
        for job in self._jobs:
            job.estimate = 0
        self._total = self._done
        self._progress()
        self._report(
            "backfill.completed",
            {
                "requests": requests,
                "candles": self.healer.recorder.learned,
                "errors": self._errors,
                "seconds": round(asyncio.get_running_loop().time() - self._started, 3),
            },
        )
