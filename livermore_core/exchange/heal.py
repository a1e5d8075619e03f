"""The one healer: the only code that asks an exchange for candles."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, TypeVar

import msgspec

from livermore_core.errors import (
    CredentialsError,
    ExchangeError,
    PermanentError,
    RateLimitedError,
    StoreError,
    TransientError,
    UnknownSymbolError,
)
from livermore_core.exchange.budget import Budget
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.protocol import ExchangeClient, Page, Product
from livermore_core.exchange.recorder import Recorder
from livermore_core.exchange.trouble import HEALTHY, Trouble, reason_of
from livermore_core.market.candle import Candle
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.proof import EMPTY_DELAY, RECHECK_DELAY, Proof, prove
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, iso
from livermore_core.market.trade import Trade

AT_ONCE = 32
PROBE_PERMANENT = 900.0
CLOCK_PATIENCE = 1.0
FAILURES_OF_AN_OUTAGE = 3
# One answer between failures is no end of an outage.
STEADY = 10.0
LIVE, SEAM, BACKFILL, AUDIT, DEEP = range(5)


Answer = TypeVar("Answer")


def backoff(attempt: int, base: float = 0.5, longest: float = 60.0) -> float:
    """Seconds before try `attempt` (from 0): min(longest, base * 2^attempt), times a random factor in [0.5, 1]."""
    return min(longest, base * 2.0 ** min(attempt, 16)) * random.uniform(0.5, 1.0)


class Want(msgspec.Struct):
    """A range of a series that is asked for until it is known.

    Not before the exchange's clock reaches `after` (or, should that clock stand still, the loop's clock `latest`), and
    not before the loop's clock reaches `due`. `verify` is asked for even where it is known.
    """

    series: Series
    start: int
    end: int
    reason: str
    priority: int
    after: float = 0.0
    due: float = 0.0
    latest: float = inf
    attempts: int = 0
    verify: Intervals = msgspec.field(default_factory=Intervals)
    cause: str = ""


class Healer:
    """Asks for what is wanted, page by page, at the budget's pace, newest first, and lets the ledger learn from it."""

    def __init__(
        self,
        client: ExchangeClient,
        recorder: Recorder,
        budget: Budget,
        clock: ExchangeClock,
        page_size: int,
        report: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.client, self.recorder, self.budget, self.clock = client, recorder, budget, clock
        self.page_size, self.report = page_size, report
        self.requests = self.successes = 0
        self.trouble = Trouble("exchange.unavailable", report, settles=STEADY)
        self.rate_limited = Trouble("exchange.rate_limited", report, settles=HEALTHY)
        self.refused = Trouble("exchange.refused", report, settles=HEALTHY)
        self._failures = 0
        self.wants: list[Want] = []
        self.serving: list[Want] = []
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    # ---- asking ----

    def want(
        self,
        series: Series,
        start: int,
        end: int,
        reason: str,
        *,
        after: float = 0.0,
        priority: int = LIVE,
        always: bool = False,
    ) -> None:
        """Have [start, end) of a series asked for until it is known; `always`: even where it is known already."""
        moment = after + RECHECK_DELAY if after else 0.0
        for waiting in self.wants:
            if waiting.series == series and waiting.reason == reason and waiting.start <= end and start <= waiting.end:
                waiting.start, waiting.end = min(start, waiting.start), max(end, waiting.end)
                waiting.priority = min(priority, waiting.priority)
                if always:
                    waiting.verify.add(start, end)
                if waiting.attempts == 0 and moment > waiting.after:
                    self._not_before(waiting, moment)
                return
        want = Want(series, start, end, reason, priority, verify=Intervals([(start, end)] if always else []))
        self._not_before(want, moment)
        self.wants.append(want)
        self._wake.set()

    async def fetch(
        self, series: Series, start: int, end: int, *, priority: tuple[float, ...], live: bool, derive: bool = True
    ) -> Proof:
        """Ask for one page of at most `page_size` buckets; returns what of it is known now, and written.

        Raises TransientError, PermanentError, CredentialsError or StoreError.
        """
        page = await self.ask(series, start, end, priority=priority)
        # Where nothing is known there is no row to read.
        known = self.recorder.ledger(series.symbol, series.timeframe).coverage.within(start, end)
        held = await self.recorder.store.candles(series, last=1, since=start, until=end) if known else []
        proof = prove(
            page.rows,
            start=start,
            end=end,
            width=WIDTHS[series.timeframe],
            moment=page.moment,
            rejected=page.rejected,
            newest_held=held[0].time if held else None,
            page_size=self.page_size,
        )
        if proof.covered:
            await self.recorder.learn(series, proof.covered, proof.rows, live=live, derive=derive)
        return proof

    async def ask(self, series: Series, start: int, end: int, *, priority: tuple[float, ...]) -> Page:
        """One page as the exchange has it, of which nothing is learned.

        Raises TransientError, PermanentError or CredentialsError.
        """
        page = await self._call(priority, lambda: self.client.candles(series.symbol, series.timeframe, start, end))
        self.clock.observe(page.moment)
        return page

    async def rows(self, symbol: str, timeframe: str, start: int, end: int) -> list[Candle] | None:
        """The candles of one page, asked for where the ledger does not know them; None where there is no answer."""
        series = Series(self.recorder.exchange, symbol, timeframe)
        try:
            if timeframe not in self.recorder.timeframes:
                page = await self.ask(series, start, end, priority=(BACKFILL,))
                return sorted(page.rows, key=lambda row: row.time)
            if self.recorder.unknown(series, start, end):
                await self.fetch(series, start, end, priority=(BACKFILL,), live=False, derive=False)
        except ExchangeError:
            return None
        return await self.recorder.store.candles(series, since=start, until=end)

    async def time(self) -> float:
        """The exchange's clock, asked for at the budget's pace and observed."""
        moment = await self._call((LIVE,), self.client.time)
        self.clock.observe(moment)
        return moment

    async def gets_through(self, seen: int) -> bool:
        """Whether anything got through since `seen` successes: else it is the exchange that fails, not one series."""
        if self.successes == seen:
            try:
                await self.time()
            except TransientError:
                return False
        return True

    async def last_trade(self, symbol: str) -> Trade | None:
        """The exchange's last trade of a symbol. Raises PermanentError where the client cannot tell."""
        ask = getattr(self.client, "last_trade", None)
        if ask is None:
            raise PermanentError("the exchange does not tell its last trade")
        answer: Trade | None = await self._call((AUDIT,), lambda: ask(symbol))
        return answer

    async def products(self, priority: int = LIVE) -> list[Product]:
        """All products, asked for at the budget's pace."""
        return await self._call((priority,), self.client.products)

    async def _call(self, priority: tuple[float, ...], request: Callable[[], Awaitable[Answer]]) -> Answer:
        await self.budget.acquire(priority)
        self.requests += 1
        try:
            answer = await request()
        except RateLimitedError as refusal:
            self.budget.refuse(refusal.retry_after)
            self.rate_limited.bad("rest.rate_limited", refusal, retry_after=refusal.retry_after)
            raise
        except CredentialsError as error:
            self.refused.bad(reason_of(error, "credentials.refused"), error)
            raise
        except TransientError as error:
            self._failed(error)
            raise
        self._succeeded()
        return answer

    def _failed(self, error: TransientError) -> None:
        """One failure is none; several in a row, or before any success, are an outage."""
        self._failures += 1
        if self._failures >= FAILURES_OF_AN_OUTAGE or not self.successes:
            self.trouble.bad("exchange.unavailable", error)

    def _succeeded(self) -> None:
        self.successes += 1
        self._failures = 0
        for trouble in (self.trouble, self.rate_limited, self.refused):
            trouble.well()

    def asked(self) -> list[Want]:
        """What is being asked for, at the moment or later."""
        return [*self.wants, *self.serving]

    # ---- the service ----

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the wants for ever."""
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.serving.clear()
        async with asyncio.TaskGroup() as group:
            ready()
            while True:
                await self._slots.acquire()
                want = await self._next()
                group.create_task(self._serve(want), name=f"heal {want.series}")

    async def _next(self) -> Want:
        """The most urgent want that is due: by priority, then newest first."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            due = [
                want for want in self.wants if want.due <= now and (want.after <= self.clock.now or want.latest <= now)
            ]
            if due:
                want = min(due, key=lambda want: (want.priority, -want.end))
                self.wants.remove(want)
                self.serving.append(want)
                return want
            await self._until_due(now)

    async def _until_due(self, now: float) -> None:
        moments = [want.after for want in self.wants if want.after > self.clock.now]
        if moments:
            self.clock.wake(min(moments), self._wake)
        timers = [max(want.due, want.latest if want.after > self.clock.now else 0.0) - now for want in self.wants]
        try:
            async with asyncio.timeout(max(0.0, min(timers)) if timers and min(timers) < inf else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _serve(self, want: Want) -> None:
        try:
            await self._ask(want)
        except (TransientError, StoreError) as error:
            self._again(want, backoff(want.attempts), str(error))
        except UnknownSymbolError as error:
            self._again(want, PROBE_PERMANENT, f"symbol.unknown: {error}")
        except (PermanentError, CredentialsError) as error:
            self._again(want, PROBE_PERMANENT, str(error))
        except BaseException:  # whatever ends this service, the next one asks
            self.wants.append(want)
            raise
        finally:
            self.serving.remove(want)
            self._slots.release()

    async def _ask(self, want: Want) -> None:
        width = WIDTHS[want.series.timeframe]
        # Only what was said to be a gap is said to be healed: most is known before anybody misses it.
        was_said = bool(
            self.recorder.ledger(want.series.symbol, want.series.timeframe).gaps.within(want.start, want.end)
        )
        missing = self._missing(want)
        if not missing:
            return
        end = missing[-1][1]
        start = max(missing[0][0], end - self.page_size * width)
        live = want.priority < DEEP
        covered = (await self.fetch(want.series, start, end, priority=(want.priority, -end), live=live)).covered
        for low, high in covered:
            want.verify.remove(low, high)
        left = self._missing(want)
        if not left:
            if not was_said:
                return
            fields = {"symbol": want.series.symbol, "timeframe": want.series.timeframe, "reason": want.reason}
            self.report("gap.healed", {**fields, "start": iso(want.start), "end": iso(want.end)})
            return
        if covered:
            want.attempts = 0
        self._ask_again_later(want, left[-1][1], bool(covered))

    def _ask_again_later(self, want: Want, end: int, progressed: bool) -> None:
        """The exchange does not show it yet: ask again 10 s, 60 s, 90 s after its end, then with back-off."""
        for delay in (RECHECK_DELAY, 60, EMPTY_DELAY):
            if end + delay > self.clock.now:
                self._again(want, 0.0, "not shown yet", after=float(end + delay))
                return
        self._again(want, 0.0 if progressed else backoff(want.attempts), "not shown yet")

    def _again(self, want: Want, delay: float, cause: str, after: float = 0.0) -> None:
        want.attempts += 1
        want.cause = cause
        want.due = asyncio.get_running_loop().time() + delay
        self._not_before(want, after)
        self.wants.append(want)
        self._wake.set()

    def _not_before(self, want: Want, after: float) -> None:
        want.after = after
        want.latest = asyncio.get_running_loop().time() + max(0.0, after - self.clock.now) + CLOCK_PATIENCE

    def _missing(self, want: Want) -> list[Interval]:
        """What to ask for: what is unknown, and what is to be verified although it is known."""
        asked = want.verify.copy()
        for low, high in self.recorder.unknown(want.series, want.start, want.end):
            asked.add(low, high)
        return list(asked)
