"""Following an exchange live: connections without end, closing by proof."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from math import inf
from typing import Any

from livermore_core.bus import Bus
from livermore_core.errors import BadResponseError, ExchangeError, RateLimitedError, StoreError
from livermore_core.exchange.backlog import Backlog
from livermore_core.exchange.budget import obeyed
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.density import Density
from livermore_core.exchange.heal import Healer
from livermore_core.exchange.previews import Previews
from livermore_core.exchange.protocol import CandleUpdate, ExchangeClient, Heartbeat, Lost, Message, Subscribed
from livermore_core.exchange.recorder import CLOSE_GRACE, Recorder
from livermore_core.exchange.trouble import HEALTHY, Trouble, reason_of
from livermore_core.exchange.witness import Witness
from livermore_core.market.candle import Candle
from livermore_core.market.intervals import Intervals
from livermore_core.market.series import Series
from livermore_core.market.tape import STEP, Tape, Unproven
from livermore_core.market.trade import Trade

LIVENESS = 15.0
# A symbol that is still muted is found out 90 s after a new connection has brought what it missed.
UNMUTED = 120.0
LEAST_WAIT, LONGEST_WAIT = 0.125, 60.0
ACKNOWLEDGE_WITHIN = 10.0
TICK = 10.0
# Seconds without a feed after which the stage goes on without it, and after which REST takes its place.
WITHOUT_AFTER, LOST_FOR = 20.0, 60.0
# Seconds by which a connection may begin ahead of what the exchange said before.
LONGEST_JUMP = 86_400.0
# So many minutes before the first acknowledgement a snapshot of trades may still prove.
LOOK_BACK = 2


class LiveFeed:
    """Reads the feed of an exchange for its symbols and hands every closed minute to the recorder."""

    def __init__(
        self,
        client: ExchangeClient,
        symbols: Sequence[str],
        recorder: Recorder,
        healer: Healer,
        bus: Bus,
        report: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.client, self.symbols, self.recorder, self.healer = client, tuple(symbols), recorder, healer
        self.report = report
        self.clock: ExchangeClock = recorder.clock
        self.tapes = {symbol: Tape() for symbol in symbols}
        self.density = Density(recorder, self.tapes, report)
        self.previews = Previews(recorder, self.tapes, bus)
        self.heard: dict[str, float] = {}
        self.connected = False
        self.connections = self.frames = self.lost_frames = 0
        self.reason = "ws.connecting"
        # When the last minute was closed and written, by the loop's clock; a new feed has its time for the first.
        self.closed_at = self._began = asyncio.get_running_loop().time()
        self.witness = Witness(recorder, healer)
        self._base = recorder.timeframes[0]
        self._stamp = 0.0
        self._heard_at = 0.0
        self._acknowledged: set[str] = set()
        self._next_minute: int | None = None
        self._next_due = inf
        self._next_tick = 0.0
        self._touched: set[str] = set()
        self._is_noting = False
        self._first_stamp = 0.0
        self.backlog = Backlog(report)
        self._interrupted: str | None = None
        # A connection that is lost again within HEALTHY was no end of it.
        self.outage = Trouble("feed.lost", report, settles=HEALTHY)
        self.partial = Trouble("feed.partial", report)
        # The symbols that trade, but not on the stream.
        self.muted = {symbol: Trouble("ws.muted", report, settles=UNMUTED, symbol=symbol) for symbol in symbols}
        self._watcher: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    # ---- the service ----

    async def run(self, ready: Callable[[], None]) -> None:
        """Stay connected for ever; ready once the subscription is acknowledged, or has been waited for long enough."""
        loop = asyncio.get_running_loop()
        # A life before this one may have ended without a word.
        self.connected, self._began = False, loop.time()
        patience = loop.call_later(WITHOUT_AFTER, self._without, ready)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.backlog.run(self.recorder.refused), name="close minutes")
                await self._connect_for_ever(ready)
        finally:
            patience.cancel()

    def lost_for(self) -> float:
        """Seconds since there was an acknowledged feed that lasted; 0 while there is one."""
        if self.connected:
            return 0.0
        since = self._began if self.outage.since is None else self.outage.since
        return asyncio.get_running_loop().time() - since

    def why(self) -> str:
        """The reason code, with its cause, of there being no feed; empty while there is one."""
        is_short = self.lost_for() < LOST_FOR or self.reason.startswith("ws.unavailable")
        return self.reason if is_short else f"ws.unavailable: {self.reason}"

    def _without(self, ready: Callable[[], None]) -> None:
        """There is still no feed: history is completed without, and what ends from here on is not history."""
        if self._next_minute is None:
            self._first_stamp = self.clock.now
        ready()

    def interrupt(self, reason: str) -> None:
        """End the current connection: another one follows."""
        self._interrupted = reason

    async def _connect_for_ever(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began, cause, pause = loop.time(), "", LEAST_WAIT
            try:
                await self._connection(ready)
                self.reason = "ws.closed"
            except TimeoutError:
                self.reason = self._interrupted or "ws.stalled"
            except ExchangeError as error:
                self.reason, cause = reason_of(error, "ws.unavailable"), str(error)
                if isinstance(error, RateLimitedError):
                    pause = obeyed(error.retry_after)
            self.connected = False
            self.outage.bad(self.reason, cause)
            # Only data, not a connection, shows that the exchange is well again.
            attempt = 0 if self._heard_at - began > HEALTHY else attempt + 1
            await asyncio.sleep(pause + random.uniform(0.0, min(LONGEST_WAIT, 0.5 * 2.0 ** min(attempt, 10))))

    async def _connection(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for tape in self.tapes.values():
            tape.connected()
        self._stamp, self._interrupted = 0.0, None
        self._acknowledged.clear()
        self._heard_at = loop.time()
        self.connections += 1
        async with asyncio.timeout(LIVENESS) as deadline, aclosing(self.client.feed(self.symbols)) as messages:  # type: ignore[type-var]
            self._watcher = loop.call_later(1.0, self._watch, deadline)
            try:
                async for message in messages:
                    self.take(message, ready)
            finally:
                self._watcher.cancel()
                self._end_patience()
                self._acknowledged.clear()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _watch(self, deadline: asyncio.Timeout) -> None:
        """Put the deadline off while frames come: once a second, so that a frame costs nothing."""
        loop = asyncio.get_running_loop()
        if not deadline.expired():
            deadline.reschedule(loop.time() if self._interrupted else self._heard_at + LIVENESS)
            self._watcher = loop.call_later(1.0, self._watch, deadline)

    # ---- messages ----

    def take(self, message: Message, ready: Callable[[], None]) -> None:
        """Take in one message of the feed."""
        kind = type(message)
        if kind is Trade:
            self._trade(message)  # type: ignore[arg-type]
        elif kind is Heartbeat:
            self._heartbeat(message.stamp)  # type: ignore[union-attr]
        elif kind is CandleUpdate:
            self.witness.hear(message, self._stamp)  # type: ignore[arg-type]
        elif kind is Subscribed:
            self._subscribed(message.symbols, ready)  # type: ignore[union-attr]
        elif kind is Lost:
            self._lost(message.count)  # type: ignore[union-attr]

    def _trade(self, trade: Trade) -> None:
        symbol = trade.symbol
        tape = self.tapes.get(symbol)
        if tape is None:
            return
        if trade.time < tape.closed_until and trade.id > tape.last_id:
            self._late(trade)
        if tape.trade(trade):
            self._jumped(trade)
            self.doubt(symbol, "ids.hole")
        self._touched.add(symbol)

    def _jumped(self, trade: Trade) -> None:
        since = self.tapes[trade.symbol].jumped_since
        if since is not None:
            self.density.jumped(trade.symbol, since, trade.time)

    def _heartbeat(self, stamp: float) -> None:
        self.frames += 1
        self._heard_at = asyncio.get_running_loop().time()
        if self._touched and not self._is_noting:
            # Once everything that has already come is taken in: of many frames the last state counts.
            self._is_noting = True
            asyncio.get_running_loop().call_soon(self._note_touched)
        if stamp > self._stamp:
            if not self._stamp:
                self._check_first(stamp)
            self._stamp = stamp
            self.clock.observe(stamp)
            if stamp >= self._next_due and self._acknowledged:
                self._minutes_due(stamp)
            elif stamp >= self._next_tick:
                self._next_tick = stamp + TICK
                self.backlog.tick(self._tick)

    def _note_touched(self) -> None:
        self._is_noting = False
        self.heard.update(dict.fromkeys(self._touched, self._heard_at))
        self.previews.show(self._touched)
        self._touched.clear()

    def _check_first(self, stamp: float) -> None:
        """Each minute that exchange time passes is closed, and it never goes back: one wrong stamp would end the truth.

        What is true after more than a day of silence REST says as well, which is asked while there is no feed.
        """
        ahead = stamp - self.clock.now
        if self.clock.now and ahead > LONGEST_JUMP:
            raise BadResponseError(f"ws.bad_stamp: the connection begins {ahead:.0f} s ahead of the exchange's clock")

    def _subscribed(self, symbols: frozenset[str], ready: Callable[[], None]) -> None:
        new = [symbol for symbol in symbols if symbol in self.tapes and symbol not in self._acknowledged]
        for symbol in new:
            self.tapes[symbol].subscribed(self._stamp)
            self._acknowledged.add(symbol)
            self.heard.setdefault(symbol, asyncio.get_running_loop().time())
        if self._next_minute is None and self._acknowledged:
            self._first_stamp = self._first_stamp or self._stamp
            self._next_minute = (int(self._first_stamp) // STEP - LOOK_BACK) * STEP
            self._next_due = self._next_minute + STEP + CLOSE_GRACE
        if len(self._acknowledged) == len(self.symbols):
            self.partial.well()
            self._is_ready(ready)
        elif new:
            self._end_patience()
            self._patience = asyncio.get_running_loop().call_later(ACKNOWLEDGE_WITHIN, self._is_ready, ready)

    def _is_ready(self, ready: Callable[[], None]) -> None:
        if self.connected or not self._acknowledged:
            return
        self.connected, self.reason = True, ""
        missing = sorted(set(self.symbols) - self._acknowledged)
        self.report("feed.connected", {"symbols": len(self._acknowledged), "missing": missing})
        self.outage.well()
        if missing:
            self.partial.bad("ws.sub_partial", f"not acknowledged: {', '.join(missing)}", symbols=missing)
        ready()

    def _lost(self, count: int) -> None:
        self.lost_frames += count
        for tape in self.tapes.values():
            tape.lost()

    def doubt(self, symbol: str, reason: str) -> None:
        """Trades are missing: what was closed since the last confirmed one does not stand."""
        retracted = self.tapes[symbol].retract()
        self.previews.doubt(symbol)
        if retracted:  # in the order of the closes, of which some may not be written yet
            self.backlog.retraction(partial(self._retract, symbol, retracted, reason))

    def _late(self, trade: Trade) -> None:
        """A trade of a bucket that is closed, written or not yet: REST says what the bucket is."""
        bucket = int(trade.time // STEP) * STEP
        ledger = self.recorder.ledger(trade.symbol, self._base)
        if bucket + STEP > self._first_stamp or ledger.coverage.covers(bucket, bucket + STEP):
            self.healer.want(ledger.series, bucket, bucket + STEP, "trade.late", after=bucket + STEP, always=True)

    # ---- closing ----

    def _minutes_due(self, stamp: float) -> None:
        """The connection's clock passed the end of a minute by CLOSE_GRACE: close it for every symbol."""
        assert self._next_minute is not None
        while stamp >= self._next_due:
            if self.backlog.has_room():
                self._minute_ended(self._next_minute)
            else:
                self._shed(self._next_minute)
            self._next_minute += STEP
            self._next_due += STEP

    def _minute_ended(self, bucket: int) -> None:
        outcomes = {symbol: tape.close(bucket) for symbol, tape in self.tapes.items()}
        self.density.closed(bucket)
        proven = {symbol: outcome for symbol, outcome in outcomes.items() if not isinstance(outcome, Unproven)}
        for symbol, outcome in outcomes.items():
            if isinstance(outcome, Unproven):
                self._unproven(symbol, bucket, outcome.value)
        if proven:
            self.backlog.minute(partial(self._close, bucket, proven))
        elif not self.backlog.minutes:
            self._progressed()
        if len(proven) < len(outcomes):
            self.backlog.tick(self._tick)

    def _shed(self, bucket: int) -> None:
        """The store does not keep up: a minute that nobody has written is told by REST as well."""
        self.backlog.shed_minute()
        for symbol, tape in self.tapes.items():
            tape.skip(bucket)
            self._unproven(symbol, bucket, "ws.lagging")

    def _progressed(self) -> None:
        if self.recorder.trouble.since is None:
            self.closed_at = asyncio.get_running_loop().time()

    async def _tick(self) -> None:
        for symbol in self.symbols:
            await self.recorder.tick(symbol)
        await self.density.judge()

    async def _close(self, bucket: int, proven: Mapping[str, Candle | None]) -> None:
        async with asyncio.TaskGroup() as group:
            for symbol, outcome in proven.items():
                group.create_task(self._close_one(symbol, bucket, outcome))
        await self.witness.minute(self.symbols, bucket)
        self._progressed()

    async def _close_one(self, symbol: str, bucket: int, outcome: Candle | None) -> None:
        try:
            await self.recorder.close(symbol, bucket, outcome)
            await self.previews.closed(symbol, bucket, outcome)
        except StoreError as error:
            self.recorder.refused(error)
            self._unproven(symbol, bucket, self.recorder.trouble.reason)

    def _unproven(self, symbol: str, bucket: int, reason: str) -> None:
        """Trades alone cannot tell: REST does, once it may speak about the bucket."""
        self.previews.doubt(symbol)
        ledger = self.recorder.ledger(symbol, self._base)
        if bucket + STEP > self._first_stamp:
            self.healer.want(ledger.series, bucket, bucket + STEP, reason, after=bucket + STEP)

    async def _retract(self, symbol: str, buckets: Sequence[int], reason: str) -> None:
        """What was closed of these minutes does not stand: withdraw it, and ask REST, even where that is refused."""
        series = Series(self.recorder.exchange, symbol, self._base)
        # Minutes that follow each other in one: no answer of REST may come between, and be announced before the gap.
        for start, end in Intervals((bucket, bucket + STEP) for bucket in buckets):
            self.healer.want(series, start, end, reason, after=end, always=True)
            try:
                await self.recorder.retract(symbol, start, end, reason)
            except StoreError as error:
                self.recorder.refused(error)
