"""An exchange in memory, driven by the loop's clock: seeded trades, pages and a feed, with faults on demand."""

from __future__ import annotations

import asyncio
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from livermore_core.errors import PermanentError, TransientError, UnknownSymbolError
from livermore_core.exchange.protocol import Heartbeat, Lost, Message, Page, Product, Subscribed

SNAPSHOT = 100
WIDTHS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}

Row = tuple[int, float, float, float, float, float]


class Tape(NamedTuple):
    """The trades of a market, one after the other."""

    times: array[float]
    prices: array[float]
    sizes: array[float]


class MemoryExchange:
    """Implements ExchangeClient without any I/O.

    `markets` maps each symbol to the mean number of seconds between its trades. Exchange time is `start` plus the
    loop's time; a frame is sent each `beat` seconds. The truth is summed up here from the trades, by its own few lines,
    never by the code under test.
    """

    requests_per_second = 10.0

    def __init__(
        self,
        markets: dict[str, float],
        *,
        start: float,
        history: float,
        until: float,
        seed: int = 1,
        lag: float = 0.0,
        beat: float = 0.25,
    ) -> None:
        self.start, self.lag, self.beat = start, lag, beat
        self.requests: list[tuple[str, str, int, int]] = []
        self.down = False
        self.connections = 0
        self._drop: dict[str, int] = {}
        self._silent: set[str] = set()
        self._failing: set[str] = set()
        self._factors: dict[str, dict[int, float]] = {}
        self._cut: asyncio.Event | None = None
        self._streamed = {
            symbol: _tape(f"{seed}:{position}", mean, start - history, until)
            for position, (symbol, mean) in enumerate(markets.items())
        }
        self._true = dict(self._streamed)
        self._rows: dict[tuple[str, str], list[Row]] = {}

    # ---- the protocol ----

    async def products(self) -> list[Product]:
        """The markets, most active first."""
        self._check_up()
        return [
            Product(symbol=symbol, quote_volume=float(len(tape.times)), aliases=(f"{symbol}C",))
            for symbol, tape in self._streamed.items()
        ]

    async def time(self) -> float:
        """Exchange time."""
        self._check_up()
        return self.now()

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
        """One page; rows that ended less than `lag` seconds ago are missing."""
        from livermore_core.market.candle import Candle

        self.requests.append((symbol, timeframe, start, end))
        await asyncio.sleep(0.05)
        self._check_up()
        if symbol in self._failing:
            raise TransientError("500 Internal Server Error")
        self._check_page(symbol, timeframe, start, end)
        now = self.now()
        rows = [
            row for row in self.truth(symbol, timeframe, start, end) if row[0] + WIDTHS[timeframe] <= now - self.lag
        ]
        return Page(rows=[Candle(*row) for row in reversed(rows)], moment=now)

    async def last_trade(self, symbol: str) -> Message | None:
        """The newest trade there is."""
        self._check_up()
        count = self._count(symbol)
        return next(self._trades(symbol, max(0, count - 1), count), None)

    async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
        """Snapshots, then the acknowledgement, then trades and a heartbeat each `beat` seconds, until cut."""
        self._check_up()
        self.connections += 1
        cut = self._cut = asyncio.Event()
        sent = {}
        for symbol in symbols:
            sent[symbol] = self._count(symbol)
            for trade in self._trades(symbol, max(0, sent[symbol] - SNAPSHOT), sent[symbol]):
                yield trade
        yield Heartbeat(self.now())
        yield Subscribed(frozenset(symbols))
        while not cut.is_set():
            await asyncio.sleep(self.beat)
            for message in self._frame(symbols, sent):
                yield message
            yield Heartbeat(self.now())
        raise TransientError("ws.closed 1001")

    def _frame(self, symbols: Sequence[str], sent: dict[str, int]) -> Iterator[Message]:
        """What one frame brings: the trades since `sent`, which moves on."""
        for symbol in symbols:
            if symbol in self._silent:
                continue
            first, until = sent[symbol], self._count(symbol)
            sent[symbol] = until
            dropped = min(self._drop.get(symbol, 0), until - first)
            if dropped:
                self._drop[symbol] -= dropped
                yield Lost(1)
            yield from self._trades(symbol, first + dropped, until)

    # ---- the truth ----

    def now(self) -> float:
        """Exchange time, UNIX seconds."""
        return self.start + asyncio.get_running_loop().time()

    def truth(self, symbol: str, timeframe: str, start: int, end: int, until: float | None = None) -> list[Row]:
        """What the trades so far make of the buckets of [start, end): (time, open, high, low, close, volume).

        `until`: the trades up to this moment only.
        """
        width, moment = WIDTHS[timeframe], self.now() if until is None else until
        rows = self._buckets(symbol, timeframe)
        first, last = bisect_left(rows, (start,)), bisect_left(rows, (end,))
        ended = bisect_left(rows, (int(moment - width) + 1,), first, last)
        told = rows[first:ended]
        if ended < last:  # what there is so far of the bucket in progress
            begun, times = rows[ended][0], self._true[symbol].times
            told += self._summed(symbol, width, bisect_left(times, begun), bisect_right(times, moment))
        return told

    def _buckets(self, symbol: str, timeframe: str) -> list[Row]:
        """Every bucket of a series, those still to come included."""
        found = self._rows.get((symbol, timeframe))
        if found is None:
            found = self._summed(symbol, WIDTHS[timeframe], 0, len(self._true[symbol].times))
            self._rows[symbol, timeframe] = found
        return found

    def _summed(self, symbol: str, width: int, first: int, last: int) -> list[Row]:
        """The rows of the trades from `first` to before `last`."""
        times, prices, sizes = self._true[symbol]
        rows = []
        while first < last:
            time = int(times[first] // width) * width
            after = bisect_left(times, time + width, first, last)
            made = prices[first:after]
            rows.append((time, made[0], max(made), min(made), made[-1], sum(sizes[first:after])))
            first = after
        return rows

    # ---- faults ----

    def cut(self) -> None:
        """End the current connection."""
        if self._cut is not None:
            self._cut.set()

    def drop(self, symbol: str, trades: int) -> None:
        """Lose the next trades of a symbol, each time with a hole in the sequence."""
        self._drop[symbol] = trades

    def silence(self, symbol: str, silent: bool = True) -> None:
        """Send nothing of a symbol any more, without any hole to see."""
        (self._silent.add if silent else self._silent.discard)(symbol)

    def fail(self, symbol: str, fails: bool = True) -> None:
        """Answer every request for candles of a symbol with a server error."""
        (self._failing.add if fails else self._failing.discard)(symbol)

    def revise(self, symbol: str, start: int, end: int, factor: float) -> None:
        """From now on the trades of [start, end) have `factor` times the size that was streamed; 0: they are void."""
        times, prices, sizes = self._streamed[symbol]
        changed = range(bisect_left(times, start), bisect_left(times, end))
        factors = self._factors.setdefault(symbol, {})
        factors.update(dict.fromkeys(changed, factor))
        kept = [position for position in range(len(times)) if factors.get(position, 1.0)]
        self._true[symbol] = Tape(
            array("d", [times[position] for position in kept]),
            array("d", [prices[position] for position in kept]),
            array("d", [sizes[position] * factors.get(position, 1.0) for position in kept]),
        )
        self._rows = {series: rows for series, rows in self._rows.items() if series[0] != symbol}

    def _check_page(self, symbol: str, timeframe: str, start: int, end: int) -> None:
        if symbol not in self._streamed:
            raise UnknownSymbolError(f"{symbol}: unknown")
        if (end - start) // WIDTHS[timeframe] > 300:
            raise PermanentError("too many candles asked for")

    def _check_up(self) -> None:
        if self.down:
            raise TransientError("connection refused")

    def _count(self, symbol: str) -> int:
        return bisect_right(self._streamed[symbol].times, self.now())

    def _trades(self, symbol: str, first: int, last: int) -> Iterator[Message]:
        from livermore_core.market.trade import Trade

        times, prices, sizes = self._streamed[symbol]
        for position in range(first, last):
            yield Trade(symbol, 1000 + position, prices[position], sizes[position], times[position])


# Tests run in the same markets again and again; nobody changes a tape.
@lru_cache(maxsize=24)
def _tape(seed: str, mean: float, since: float, until: float) -> Tape:
    chance, tape = random.Random(seed), Tape(array("d"), array("d"), array("d"))
    moment, price = since, 100.0
    while True:
        moment += chance.expovariate(1.0 / mean)
        if moment >= until:
            return tape
        price = max(1.0, price * (1.0 + chance.gauss(0.0, 0.0005)))
        tape.times.append(round(moment) if chance.random() < 0.05 else round(moment, 6))
        tape.prices.append(round(price, 2))
        tape.sizes.append(round(chance.uniform(0.001, 2.0), 8))
        moment = max(moment, tape.times[-1])
