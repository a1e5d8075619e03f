"""The exchange: a market that follows a formula, four trades a minute, so that its whole history can be computed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import sin

from pydantic import Field

from livermore_core import (
    Candle,
    ExchangeSettings,
    Heartbeat,
    Message,
    Page,
    Product,
    Subscribed,
    Trade,
    UnknownSymbolError,
    width,
)

EVERY = 15
PRICES = {"SINE-USD": 100.0, "WAVE-USD": 7.0}


class ExampleSettings(ExchangeSettings):
    """`[exchanges.example]`: what every exchange has, and one key of our own."""

    speed: float = Field(default=1.0, gt=0, le=1000, description="exchange seconds per real second")


class ExampleClient:
    """Implements livermore_core.ExchangeClient; a real one would speak HTTP and WebSocket here."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began, self._since = time.time(), asyncio.get_running_loop().time()

    async def products(self) -> list[Product]:
        """The two markets."""
        return [Product(symbol=symbol, quote_volume=price) for symbol, price in PRICES.items()]

    async def time(self) -> float:
        """The clock of this exchange, UNIX seconds."""
        return self._now()

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
        """The candles of the buckets with start <= time < end, the one in progress too."""
        if symbol not in PRICES:
            raise UnknownSymbolError(f"{symbol}: unknown to the example exchange")
        now, step = self._now(), width(timeframe)
        buckets = [(bucket, min(bucket + step, now)) for bucket in range(start, min(end, int(now) + 1), step)]
        return Page(rows=[_candle(symbol, bucket, last) for bucket, last in buckets], moment=now)

    async def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
        """Say what has been subscribed to, then every trade when it is due; this exchange never hangs up."""
        due = int(self._now() // EVERY + 1) * EVERY
        yield Heartbeat(self._now())
        yield Subscribed(frozenset(symbols))
        while True:
            # At least one beat a second of real time: silence would look like a dead connection.
            await asyncio.sleep(min(1.0, max(0.0, due - self._now()) / self._speed))
            while due <= self._now():
                for symbol in symbols:
                    yield _trade(symbol, due // EVERY)
                due += EVERY
            yield Heartbeat(self._now())

    def _now(self) -> float:
        return self._began + (asyncio.get_running_loop().time() - self._since) * self._speed


@asynccontextmanager
async def open_exchange(settings: ExampleSettings) -> AsyncIterator[ExampleClient]:
    """What opens here closes here."""
    yield ExampleClient(settings.speed)


def _trade(symbol: str, number: int) -> Trade:
    """The trade with that number: its id counts up by one, which is what proves that none is missing."""
    moment = number * EVERY
    price = PRICES[symbol] * (1.0 + 0.05 * sin(moment / 5000.0) + 0.002 * sin(number))
    return Trade(symbol, number, round(price, 4), 1.0 + number % 7, float(moment))


def _candle(symbol: str, start: int, end: float) -> Candle:
    trades = [_trade(symbol, number) for number in range(start // EVERY, int(end - 1e-6) // EVERY + 1)]
    prices = [trade.price for trade in trades]
    volume = sum(trade.size for trade in trades)
    return Candle(start, prices[0], max(prices), min(prices), prices[-1], volume)
