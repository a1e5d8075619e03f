"""The simulated exchange: one loopback port for REST, WebSocket and control, and the loop that drives its clock."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from livermore_simulator import wire
from livermore_simulator.clock import SimulationClock
from livermore_simulator.limits import TokenBucket
from livermore_simulator.market import Market
from livermore_simulator.quirks import Quirks
from livermore_simulator.rest import Rest
from livermore_simulator.stream import Connection
from livermore_simulator.truth import WIDTHS, Truth

TICK = 0.02
REMEMBERED = 100_000
CONNECTIONS_PER_SECOND = 8


class SimulatedExchange:
    """`async with SimulatedExchange(market, start=..., speed=60) as exchange:` serves until the block ends.

    `rest_url`, `ws_url` and `control_url` name it; `requests` remembers (exchange time, method, path, query, status).
    """

    def __init__(
        self,
        market: Market,
        *,
        start: float,
        speed: float = 1.0,
        quirks: Quirks | None = None,
        public_rate: float = 10.0,
        private_rate: float = 30.0,
        latency: float = 0.0,
        port: int = 0,
        subscribe_within: float = 5.0,
        read_within: float = 5.0,
    ) -> None:
        self.market, self.seed = market, market.seed
        self.clock = SimulationClock(start, speed)
        self.quirks = quirks or Quirks()
        self.truth = Truth(market)
        self.latency, self.subscribe_within, self.read_within = latency, subscribe_within, read_within
        self.requests: deque[tuple[float, str, str, str, int]] = deque(maxlen=REMEMBERED)
        self.statuses: Counter[int] = Counter()
        self.candle_requests = 0
        self.refusing = False
        self.failing: dict[str, int] = {}
        self.private_bucket = TokenBucket(private_rate, private_rate)
        self.connected = 0
        self._public_rate = public_rate
        self._public_buckets: dict[str, TokenBucket] = {}
        self._connects = TokenBucket(CONNECTIONS_PER_SECOND, CONNECTIONS_PER_SECOND)
        self._port = port
        self._dropping = 0
        self._muted: set[str] = set()
        self._ticked = asyncio.Event()
        self._sockets: dict[web.WebSocketResponse, Connection] = {}

    # ---- life ----

    async def __aenter__(self) -> Self:
        self.market.extend(self.clock.now())
        application = web.Application()
        application.add_routes(Rest(self).routes())
        application.add_routes(
            [
                web.get("/ws", self._socket),
                web.get("/control/state", self._state),
                web.get("/control/truth", self._truth),
                web.get("/control/reached", self._reached),
                web.post("/control/speed", self._set_speed),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._ticker = asyncio.ensure_future(self._tick_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ticker.cancel()
        await asyncio.wait({self._ticker})
        await self.close_connections(1001)
        await self._runner.cleanup()
        if not self._ticker.cancelled():
            self._ticker.result()

    @property
    def rest_url(self) -> str:
        """Base address of the REST side."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """Address of the WebSocket."""
        return f"ws://127.0.0.1:{self._port}/ws"

    @property
    def control_url(self) -> str:
        """Base address of the control interface."""
        return f"{self.rest_url}/control"

    async def _tick_for_ever(self) -> None:
        """Send what is due, then let the clock get there: it never runs ahead of the stream."""
        while True:
            await asyncio.sleep(TICK)
            moment = self.clock.aim()
            self.market.extend(moment)
            for socket, connection in list(self._sockets.items()):
                try:
                    await connection.send_until(moment)
                except (ConnectionError, RuntimeError):
                    self._sockets.pop(socket, None)
            self.clock.reach(moment)
            self._ticked.set()
            self._ticked = asyncio.Event()

    # ---- faults for tests ----

    async def close_connections(self, code: int | None = 1001) -> None:
        """Close every WebSocket with that code; None: without a close frame."""
        for socket, connection in list(self._sockets.items()):
            self._sockets.pop(socket, None)
            if code is None:
                connection.abort()
            else:
                # One that reads nothing must not hold this up.
                await socket.close(code=code, drain=False)

    def drop_frames(self, count: int) -> None:
        """The next frames with trades or candles get a sequence number and are not sent."""
        self._dropping = count

    def mute(self, symbol: str, muted: bool = True) -> None:
        """Send nothing of a symbol, without any hole in the sequence."""
        (self._muted.add if muted else self._muted.discard)(symbol)

    def is_dropped(self) -> bool:
        """Whether the next frame is to be dropped."""
        if self._dropping == 0:
            return False
        self._dropping -= 1
        return True

    def is_muted(self, symbol: str) -> bool:
        """Whether nothing of this symbol is to be sent."""
        return symbol in self._muted

    # ---- requests ----

    def public_bucket(self, address: str) -> TokenBucket:
        """The bucket of one client address."""
        rate = self._public_rate
        return self._public_buckets.setdefault(address, TokenBucket(rate, rate))

    def record(self, request: web.Request, status: int) -> None:
        """Remember a request."""
        self.statuses[status] += 1
        entry = (self.clock.now(), request.method, request.path, request.query_string, status)
        self.requests.append(entry)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refusing:
            return web.Response(status=503)
        if not self._connects.take():
            return web.Response(status=429)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        connection = self._sockets[socket] = Connection(self, socket, request.transport)
        self.connected += 1
        try:
            await connection.serve()
        except ConnectionError:
            pass  # nobody is there any more to be told
        finally:
            self._sockets.pop(socket, None)
        return socket

    # ---- control ----

    async def _state(self, request: web.Request) -> web.Response:
        first, last = self.market.span
        return _json(
            {
                "exchange_time": self.clock.now(),
                "speed": self.clock.speed,
                "seed": self.seed,
                "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
                "candle_requests": self.candle_requests,
                "connections": len(self._sockets),
                "connected": self.connected,
                "first": first,
                "last": last,
            }
        )

    async def _truth(self, request: web.Request) -> web.Response:
        query = request.query
        product = self.market.find(query.get("symbol", ""))
        timeframe = query.get("timeframe", "1m")
        if product is None or timeframe not in WIDTHS:
            return web.Response(status=404, text="no such symbol or timeframe")
        start, end = int(query.get("start", 0)), int(query.get("end", 1 << 40))
        return _json({"rows": self.truth.candles(product.symbol, timeframe, start, end, self.clock.now())})

    async def _reached(self, request: web.Request) -> web.Response:
        """Answer once exchange time has got to `moment`."""
        while self.clock.now() < float(request.query["moment"]):
            await self._ticked.wait()
        return await self._state(request)

    async def _set_speed(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.clock.set_speed(float(asked["speed"]))
        return _json({"speed": self.clock.speed})


def _json(body: Any) -> web.Response:
    return web.Response(body=wire.encode(body), content_type="application/json")
