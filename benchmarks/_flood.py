"""Serves an exchange of its own process that sends prepared frames as fast as they are taken, or at an even pace.

REST is the simulator's. Commands come on stdin, a line each: `prepare FRAMES`, `blast`, `paced RATE`; answers are JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic_ns, perf_counter
from typing import Any

from _market import deep_market
from aiohttp import web
from livermore_simulator import SimulatedExchange, wire
from livermore_simulator.market import Minute, Product
from livermore_simulator.quirks import Quirks
from livermore_simulator.trades import Print

SYMBOLS = 25
START = 1_790_000_000 // 86_400 * 86_400 + 43_200
# Trades per frame, as frames.py has them; 0 is a candle, -1 a beat.
MIX = (1, 1, 1, 1, 2, 2, 3, 8, 0, -1)
MICROS_PER_FRAME = 500
# A flood begins so many seconds into five minutes: a 1m and a 5m candle of every symbol close in the middle of it.
PHASE = 295
CHUNK, BUFFER = 64 * 1024, 1024 * 1024
BEAT_EVERY = 0.1


@dataclass(slots=True)
class FloodProduct(Product):
    """A product whose newest minutes are what was sent."""

    sent: dict[int, list[Print]] = field(default_factory=dict)

    def trades(self, position: int) -> list[Print]:
        return self.sent.get(position) or Product.trades(self, position)

    def take(self, time: int, prints: list[Print]) -> None:
        """Add the next traded minute."""
        self.sent[len(self.times)] = prints
        self.times.append(time)
        self.minutes.append(folded(time, prints))
        self.ids.append(prints[-1].id + 1)


def folded(time: int, prints: list[Print]) -> Minute:
    prices = [made.price for made in prints]
    return Minute(time, prices[0], max(prices), min(prices), prices[-1], sum(made.units for made in prints))


class Flood:
    """Frames in their WebSocket framing; `told` says of each with trades: the symbol, its minute, the volume so far."""

    def __init__(self, products: list[FloodProduct], micros: int, sequence: int, count: int) -> None:
        self.frames: list[bytes] = []
        self.told: list[tuple[str, int, float] | None] = []
        self.stamps: list[float] = []
        self._products, self._sequence = products, sequence
        self._prints: dict[str, list[Print]] = defaultdict(list)
        self._next = {product.symbol: product.ids[-1] for product in products}
        self._price = {product.symbol: product.minutes[-1].close for product in products}
        self._fives: dict[str, Minute] = {}
        self._units: dict[tuple[str, int], int] = defaultdict(int)
        self._chance = random.Random(sequence)
        for number in range(count):
            self._add(MIX[number % len(MIX)], micros + number * MICROS_PER_FRAME)
        for product in products:
            for minute, made in groupby(self._prints[product.symbol], lambda each: each.micros // 60_000_000):
                product.take(minute * 60, list(made))

    def _add(self, trades: int, micros: int) -> None:
        symbol = self._chance.choice(self._products).symbol
        if trades > 0:
            made = [self._trade(symbol, micros) for _ in range(trades)]
            self._prints[symbol] += made
            minute = made[-1].micros // 60_000_000 * 60
            self._units[symbol, minute] += sum(each.units for each in made)
            told = (symbol, minute, self._units[symbol, minute] / 1e8)
            event: Any = {"type": "update", "trades": [wire.trade(symbol, each) for each in reversed(made)]}
            self._frame("market_trades", micros, event, told)
        elif trades == 0 and symbol in self._fives:
            candle = wire.candle(self._fives[symbol]) | {"product_id": symbol}
            self._frame("candles", micros, {"type": "update", "candles": [candle]})
        else:
            now = "2026-09-30 02:15:00.167686734 +0000 UTC m=+7.233881028"
            self._frame("heartbeats", micros, {"current_time": now, "heartbeat_counter": len(self.frames)})

    def _trade(self, symbol: str, micros: int) -> Print:
        price = self._price[symbol] = max(1.0, round(self._price[symbol] + self._chance.choice((-0.01, 0.0, 0.01)), 2))
        made = Print(self._next[symbol], micros - 1000, price, self._chance.randrange(1, 10**9), "BUY")
        self._next[symbol] += 1
        bucket = made.micros // 300_000_000 * 300
        five = self._fives.get(symbol)
        if five is None or five.time != bucket:
            self._fives[symbol] = folded(bucket, [made])
        else:
            high, low, units = max(five.high, price), min(five.low, price), five.units + made.units
            self._fives[symbol] = Minute(bucket, five.open, high, low, price, units)
        return made

    def _frame(self, channel: str, micros: int, event: Any, told: tuple[str, int, float] | None = None) -> None:
        self.frames.append(framed(frame(channel, micros, self._sequence + len(self.frames), event)))
        self.told.append(told)
        self.stamps.append(micros / 1e6)


def frame(channel: str, micros: int, sequence: int, event: dict[str, Any]) -> bytes:
    """A frame in the exchange's shape."""
    stamp = wire.micro_instant(micros, 217)
    return wire.encode(
        {"channel": channel, "client_id": "", "timestamp": stamp, "sequence_num": sequence, "events": [event]}
    )


def framed(text: bytes) -> bytes:
    """A text frame of the WebSocket protocol, from a server."""
    size = len(text)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + text


class Server:
    """One exchange for one client."""

    def __init__(self) -> None:
        market: Any = deep_market(SYMBOLS, START, 0, FloodProduct)
        self.products: list[FloodProduct] = list(market.products.values())
        self.exchange = SimulatedExchange(market, start=START, speed=0.0, quirks=Quirks.none(), public_rate=1000.0)
        self.now, self.sequence, self.beating = float(START), 0, False
        self.transport: Any = None
        self.subscribed = asyncio.Event()
        self.flood = Flood(self.products, 0, 0, 0)

    async def serve(self) -> None:
        application = web.Application()
        application.add_routes([web.get("/", self._socket)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        async with self.exchange:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ws_url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
            answer({"rest_url": self.exchange.rest_url, "ws_url": ws_url, "symbols": [p.symbol for p in self.products]})
            beats = asyncio.ensure_future(self._beat())
            async for command, argument in commands():
                await self._obey(command, argument)
            beats.cancel()
            await runner.cleanup()

    async def _obey(self, command: str, argument: int) -> None:
        if command == "prepare":
            await self.subscribed.wait()
            # Beats stop for good: an idle client must not disturb the one that is measured.
            self.beating = False
            base = int(self.now // 300) * 300 + PHASE
            self._reach(float(base if base > self.now else base + 300))
            self._send(frame("heartbeats", int(self.now * 1e6), self.sequence, {"heartbeat_counter": 0}))
            self.flood = Flood(self.products, int(self.now * 1e6) + MICROS_PER_FRAME, self.sequence, argument)
            answer({"prepared": len(self.flood.frames)})
            return
        sent = await (self._blast() if command == "blast" else self._paced(argument))
        self.sequence += len(self.flood.frames)
        answer({"sent": sent})

    async def _blast(self) -> None:
        """In large writes, never waited for but by a full buffer."""
        frames, stamps = self.flood.frames, self.flood.stamps
        chunk: list[bytes] = []
        size = 0
        for position, each in enumerate(frames):
            chunk.append(each)
            size += len(each)
            if size >= CHUNK or position + 1 == len(frames):
                self.transport.write(b"".join(chunk))
                self._reach(stamps[position])
                chunk, size = [], 0
                while self.transport.get_write_buffer_size() > BUFFER:  # noqa: ASYNC110 - a transport has no event
                    await asyncio.sleep(0.0005)

    async def _paced(self, rate: int) -> dict[str, list[tuple[int, int, float]]]:
        """One write per frame, each at its moment; by symbol: when each with trades left, its minute, its volume."""
        sent: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
        began = perf_counter()
        for position, (each, told) in enumerate(zip(self.flood.frames, self.flood.told, strict=True)):
            await asyncio.sleep(0)
            while perf_counter() < began + position / rate:  # a sleep is not exact enough
                pass
            if told:
                sent[told[0]].append((monotonic_ns(), *told[1:]))
            self.transport.write(each)
            self._reach(self.flood.stamps[position])
        return sent

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY)
            if self.beating:
                self._reach(float(int(self.now) + 1))
                self._send(frame("heartbeats", int(self.now * 1e6), self.sequence, {"heartbeat_counter": 0}))

    def _reach(self, moment: float) -> None:
        self.now = moment
        self.exchange.clock.reach(moment)

    def _send(self, text: bytes) -> None:
        self.sequence += 1
        self.transport.write(framed(text))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.transport, self.sequence = request.transport, 0
        subscribed: dict[str, list[str]] = {}
        async for message in socket:
            asked = json.loads(message.data)
            subscribed[asked["channel"]] = asked.get("product_ids", ["heartbeats"])
            if asked["channel"] == "market_trades":
                for product in self.products:
                    self._snapshot(product)
            self._send(frame("subscriptions", int(self.now * 1e6), self.sequence, {"subscriptions": subscribed}))
            if len(subscribed) == 3:
                self.subscribed.set()
            self.beating = True
        return socket

    def _snapshot(self, product: FloodProduct) -> None:
        newest = [wire.trade(product.symbol, made) for made in reversed(product.newest(self.now, 100))]
        event = {"type": "snapshot", "trades": newest}
        self._send(frame("market_trades", int(self.now * 1e6), self.sequence, event))


def answer(said: dict[str, Any]) -> None:
    """Say one thing to the process that started this one."""
    print(json.dumps(said), flush=True)


async def commands() -> Any:
    """What that process says, word and number, until it closes the pipe."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        yield line[0], int(line[1]) if len(line) > 1 else 0


if __name__ == "__main__":
    asyncio.run(Server().serve())
