"""An exchange in memory that misbehaves as it is told: every primitive that a client of an exchange can meet."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from math import inf

from livermore_core.errors import RateLimitedError, TransientError
from livermore_core.exchange.protocol import Heartbeat, Lost, Message, Page, Product, Subscribed
from livermore_core.market.candle import Candle
from livermore_core.market.tape import STEP
from livermore_core.market.timeframe import WIDTHS
from livermore_core.testing.faults import Fault
from livermore_core.testing.memory_exchange import SNAPSHOT, MemoryExchange

TOTAL_TIMEOUT = 20.0
FLAP_AFTER = 0.05
REVISED = 1.5
CUTTING = frozenset({"ws.close", "exchange.down", "ws.blackhole", "clock.suspend"})
# A missing acknowledgement is one after so many seconds; a missing trade of a symbol that was just heard of is one
# after it has been asked for.
PATIENCE, MUTED_FOR, JUST = 10.0, 110.0, 60.0


class FaultyExchange(MemoryExchange):
    """A MemoryExchange with faults that `begin` and `end`; keeps the moments of what it was asked.

    `asked` are the moments (the loop's seconds) of REST requests, `connected_at` of connections, `refusals` of
    refusals for pace with the seconds until the next request may come; `most_open` is how many feeds were open at once.
    `felt` are the moments at which a fault, by its kind, reached whoever is connected or asks (`rest.failing`: the
    third failure in a row and every further one).
    """

    def __init__(
        self, markets: dict[str, float], *, start: float, history: float, until: float, seed: int, beat: float = 1.0
    ) -> None:
        super().__init__(markets, start=start, history=history, until=until, seed=seed, beat=beat)
        self.asked: list[float] = []
        self.connected_at: list[float] = []
        self.refusals: list[tuple[float, float]] = []
        self.felt: list[tuple[float, str]] = []
        self.most_open = 0
        self._failures = 0
        self._failed_at = -inf
        self._open = 0
        self._active: dict[str, Fault] = {}
        self._ahead = 0.0
        self._holes = 0
        self._again: dict[str, int] = {}
        self._dead_until = 0
        self._chance = random.Random(f"answers:{seed}")

    @property
    def is_connected(self) -> bool:
        """Whether a feed is open that still delivers."""
        return self._open > 0 and self.connections > self._dead_until

    def begin(self, fault: Fault) -> None:
        """Let a fault begin; one that lasts goes on until its `end`."""
        if fault.lasts:
            self._active[fault.kind] = fault
        if fault.kind in CUTTING and self.is_connected:
            self._feel(fault.kind)
        if fault.kind in ("ws.close", "exchange.down"):
            self.down = self.down or fault.kind == "exchange.down"
            self.cut()
        elif fault.kind == "rest.revise":
            self._change_its_mind(fault.symbol, int(fault.amount) * STEP)
        elif fault.kind == "ws.mute":
            self.silence(fault.symbol)
        elif fault.kind == "ws.blackhole":
            self._dead_until = self.connections
        elif fault.kind == "ws.skip":
            self.drop(fault.symbol, int(fault.amount))
        elif fault.kind == "ws.skip_frame":
            self._holes = int(fault.amount)
        elif fault.kind == "ws.repeat":
            self._again[fault.symbol] = int(fault.amount)
        elif fault.kind == "clock.suspend":  # the exchange goes on meanwhile, and our connection is dead
            self._ahead += fault.amount
            self._dead_until = self.connections

    def end(self, fault: Fault) -> None:
        """Let a fault end, and what it left undone with it."""
        if self._active.get(fault.kind) is fault:
            del self._active[fault.kind]
        if fault.kind == "ws.skip":
            self.drop(fault.symbol, 0)
        elif fault.kind == "ws.mute":
            self.silence(fault.symbol, False)
        elif fault.kind == "exchange.down":
            self.down = "exchange.down" in self._active

    def _change_its_mind(self, symbol: str, ago: int) -> None:
        """Five minutes that ended so many seconds ago, and after the start, have another volume from now on."""
        end = int(self.now() - ago) // STEP * STEP
        self.revise(symbol, max(end - 5 * STEP, int(self.start)), end, REVISED)

    def _feel(self, kind: str) -> None:
        self.felt.append((asyncio.get_running_loop().time(), kind))

    def now(self) -> float:
        """Exchange time: ahead of the loop's by every suspension."""
        return super().now() + self._ahead

    # ---- REST ----

    async def products(self) -> list[Product]:
        """The markets, most active first."""
        await self._request()
        self._failures = 0
        return await super().products()

    async def time(self) -> float:
        """Exchange time."""
        await self._request()
        self._failures = 0
        return self.now()

    async def last_trade(self, symbol: str) -> Message | None:
        """The newest trade there is."""
        await self._request(symbol)
        self._failures = 0
        return await super().last_trade(symbol)

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
        """One page, the bucket in progress included, as exchanges do."""
        self.requests.append((symbol, timeframe, start, end))
        await self._request(symbol)
        self._check_page(symbol, timeframe, start, end)
        moment = self.now() - self._amount("rest.stale")
        lag, width = self._amount("rest.lag"), WIDTHS[timeframe]
        since = start - 3 * width if "rest.out_of_range" in self._active else start
        rows = [Candle(*row) for row in self.truth(symbol, timeframe, since, end, until=moment)]
        # The bucket in progress is never late: rows are missing between it and the older ones.
        rows = [row for row in rows if not moment - lag < row.time + width <= moment]
        rows.reverse()
        if "rest.shuffle" in self._active:
            self._chance.shuffle(rows)
        await asyncio.sleep(0.05 + self._amount("rest.delay"))
        self._failures = 0
        return Page(rows=rows, moment=moment)

    async def _request(self, symbol: str = "") -> None:
        """Count a request, and fail it where a fault says so."""
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        if "rest.refuse_pace" in self._active:
            after = self._amount("rest.refuse_pace")
            self.refusals.append((now, after))
            self._feel("rest.refuse_pace")
            raise RateLimitedError("rest.rate_limited: 429", retry_after=after)
        if "rest.hang" in self._active:
            await asyncio.sleep(TOTAL_TIMEOUT)
            self._fail()
            raise TransientError("net.timeout: no whole answer in time")
        failing = self._active.get("rest.fail")
        if "rest.status" in self._active or (failing is not None and symbol == failing.symbol):
            self._fail()
            raise TransientError("503 Service Unavailable")
        if self.down:
            self._fail()
        self._check_up()

    def _fail(self) -> None:
        self._failures += 1
        self._failed_at = asyncio.get_running_loop().time()
        if self._failures >= 3:
            self._feel("rest.failing")

    def _amount(self, kind: str) -> float:
        fault = self._active.get(kind)
        return fault.amount if fault is not None else 0.0

    # ---- the feed ----

    async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
        """Snapshots, then the acknowledgement, then trades and a heartbeat each `beat` seconds, until cut."""
        self.connected_at.append(asyncio.get_running_loop().time())
        self._check_up()
        if "ws.refuse" in self._active:
            self._feel("ws.refuse")
            raise TransientError("net.unreachable: connection refused")
        self.connections += 1
        with self._opened():
            number, cut = self.connections, asyncio.Event()
            self._cut = cut
            if "ws.silent" in self._active:
                self._dead_until = number
                self._feel("ws.silent")
                await cut.wait()
            sent = {symbol: self._count(symbol) for symbol in symbols}
            for symbol in symbols:
                for trade in self._trades(symbol, max(0, sent[symbol] - SNAPSHOT), sent[symbol]):
                    yield trade
            yield Heartbeat(self.now())
            acknowledged = self._acknowledged(symbols)
            if acknowledged:
                yield Subscribed(frozenset(acknowledged))
            if "ws.flap" in self._active:
                await asyncio.sleep(FLAP_AFTER)
                self._feel("ws.flap")
                raise TransientError("ws.closed 1001")
            patient_until = asyncio.get_running_loop().time() + PATIENCE if acknowledged else inf
            while not cut.is_set():
                await asyncio.sleep(self.beat)
                if number <= self._dead_until or "ws.stall" in self._active:
                    continue
                for message in self._frame(symbols, sent):
                    yield message
                yield Heartbeat(self.now())
                late = [symbol for symbol in self._acknowledged(symbols) if symbol not in acknowledged]
                if late:
                    acknowledged += late
                    yield Subscribed(frozenset(acknowledged))
                if len(acknowledged) < len(symbols) and asyncio.get_running_loop().time() > patient_until:
                    patient_until = inf
                    self._feel("ws.partial_ack")
            raise TransientError("ws.closed 1001")

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            yield
        finally:
            self._open -= 1

    def _acknowledged(self, symbols: Sequence[str]) -> list[str]:
        if "ws.no_ack" in self._active:
            return []
        partial = self._active.get("ws.partial_ack")
        return [symbol for symbol in symbols if partial is None or symbol != partial.symbol]

    def _frame(self, symbols: Sequence[str], sent: dict[str, int]) -> Iterator[Message]:
        """A frame that may be lost whole, or bring some trades again."""
        if self._holes:
            self._holes -= 1
            sent.update({symbol: self._count(symbol) for symbol in symbols})
            yield Lost(1)
        for symbol in self._silent:
            self._notice_mute(symbol, sent[symbol])
        for symbol in list(self._again):
            sent[symbol] = max(0, sent[symbol] - self._again.pop(symbol))
        yield from super()._frame(symbols, sent)

    def _notice_mute(self, symbol: str, sent: int) -> None:
        """A symbol that was just heard of misses a trade so old that it has been asked for, unless REST fails too."""
        times = self._streamed[symbol].times
        if not 0 < sent < self._count(symbol) or len(self._active) > 1:
            return
        age, before = self.now() - times[sent], times[sent] - times[sent - 1]
        answers = asyncio.get_running_loop().time() > self._failed_at + MUTED_FOR
        if answers and before < JUST and MUTED_FOR <= age < MUTED_FOR + 2.0:
            self._feel("ws.mute")
