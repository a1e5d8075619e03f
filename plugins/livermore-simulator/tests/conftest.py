"""What the tests of this plugin share: a small market, an exchange on loopback, and clients that wait for frames."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from livermore_simulator import Quirks, SimulatedExchange, SyntheticMarket
from livermore_simulator.trades import Print

NOON = 1_704_283_200.0  # 2024-01-03T12:00:00Z
BROKERAGE = "/api/v3/brokerage"


class Feed:
    """One WebSocket; remembers every frame."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, exchange: SimulatedExchange) -> None:
        self.socket, self.exchange = socket, exchange
        self.frames: list[dict[str, Any]] = []

    async def read(self) -> dict[str, Any]:
        message = await self.socket.receive(timeout=5.0)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        self.frames.append(message.json())
        return self.frames[-1]

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The frames from here to the one that is wanted."""
        first = len(self.frames)
        while not wanted(await self.read()):
            pass
        return self.frames[first:]

    async def ask(self, channel: str, *names: str, type: str = "subscribe", **more: str) -> list[dict[str, Any]]:
        """Subscribe or unsubscribe; the frames up to the acknowledgement."""
        named = {"product_ids": names} if names else {}
        await self.socket.send_json({"type": type, "channel": channel, **named, **more})
        return await self.until(lambda frame: frame.get("channel") == "subscriptions")

    async def play(self, seconds: float) -> list[dict[str, Any]]:
        """Let exchange time pass at once; the frames up to its last beat. `heartbeats` must be subscribed."""
        self.exchange.clock.reach(self.exchange.clock.now() + seconds)
        last = int(self.exchange.clock.now())
        return await self.until(
            lambda frame: frame["channel"] == "heartbeats" and frame["events"][0]["heartbeat_counter"] == last
        )

    async def closed(self) -> int | None:
        """The code with which the exchange closes."""
        while (await self.socket.receive(timeout=5.0)).type is aiohttp.WSMsgType.TEXT:
            pass
        return self.socket.close_code


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks one exchange."""

    def __init__(self, exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        self.exchange, self.session = exchange, session

    async def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        """The answer to GET."""
        url = self.exchange.rest_url + (path if path.startswith("/control") else BROKERAGE + path)
        async with self.session.get(url, params=query, headers=headers) as response:
            return Answer(response.status, response.headers, response.content_type, await response.read())

    async def candles(self, symbol: str, granularity: str, start: float, end: float, **headers: str) -> Answer:
        """The answer for candles."""
        query = {"granularity": granularity, "start": str(int(start)), "end": str(int(end))}
        return await self.get(f"/market/products/{symbol}/candles", headers=headers, **query)

    async def feed(self) -> Feed:
        """A new WebSocket."""
        return Feed(await self.session.ws_connect(self.exchange.ws_url), self.exchange)


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    """BTC, ETH, SOL and XRP are liquid, DOGE and LTC thin. Tests only ever extend it."""
    return SyntheticMarket(6, start=NOON, seed=7, days=1)


@pytest.fixture
async def serve(market: SyntheticMarket) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Start a docile exchange whose time stands still, unless the test says otherwise."""
    async with AsyncExitStack() as stack:

        async def start(served: Any = market, **options: Any) -> Client:
            options = {"start": NOON, "speed": 0.0, "quirks": Quirks.none(), "public_rate": 1e6} | options
            exchange = await stack.enter_async_context(SimulatedExchange(served, **options))
            return Client(exchange, await stack.enter_async_context(aiohttp.ClientSession()))

        yield start


@pytest.fixture(scope="session")
def fold() -> Callable[[Iterable[Print], int], list[tuple[float, ...]]]:
    """Rows (time, open, high, low, close, units) of trades in the order of their ids, by brute force."""

    def folded(trades: Iterable[Print], width: int) -> list[tuple[float, ...]]:
        buckets: dict[int, list[Print]] = {}
        for trade in sorted(trades):
            buckets.setdefault(trade.micros // (width * 1_000_000) * width, []).append(trade)
        return [
            (
                bucket,
                made[0].price,
                max(trade.price for trade in made),
                min(trade.price for trade in made),
                made[-1].price,
                sum(trade.units for trade in made),
            )
            for bucket, made in buckets.items()
        ]

    return folded
