"""The simulated exchange: one loopback port for REST, WebSocket and control, and the loop that drives its clock."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiohttp import web

from livermore_simulator.clock import SimulationClock
from livermore_simulator.control import Control
from livermore_simulator.faults import AT_ONCE, Faults
from livermore_simulator.limits import TokenBucket
from livermore_simulator.line import Line
from livermore_simulator.market import Market
from livermore_simulator.quirks import Quirks
from livermore_simulator.rest import Rest
from livermore_simulator.rest_faults import answer
from livermore_simulator.stream import Connection
from livermore_simulator.truth import Truth

if TYPE_CHECKING:
    from livermore_core.testing import Fault

TICK = 0.02
REMEMBERED = 100_000
CONNECTIONS_PER_SECOND = 8


class SimulatedExchange:
    """`async with SimulatedExchange(market, start=..., speed=60) as exchange:` serves until the block ends.

    `rest_url`, `ws_url` and `control_url` name it; `requests` remembers (exchange time, method, path, query, status).
    `faults` plays schedules, and tells `say` what begins and ends.
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
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.market, self.seed = market, market.seed
        self.clock = SimulationClock(start, speed)
        self.quirks = quirks or Quirks()
        self.truth = Truth(market, native_differs=self.quirks.native_differs)
        self.faults = Faults(self.clock, self._suffer, say)
        self.latency, self.subscribe_within, self.read_within = latency, subscribe_within, read_within
        self.requests: deque[tuple[float, str, str, str, int]] = deque(maxlen=REMEMBERED)
        self.statuses: Counter[int] = Counter()
        self.candle_requests = 0
        self.private_bucket = TokenBucket(private_rate, private_rate)
        self.connected = 0
        self._public_rate = public_rate
        self._public_buckets: dict[str, TokenBucket] = {}
        self._connects = TokenBucket(CONNECTIONS_PER_SECOND, CONNECTIONS_PER_SECOND)
        self._port = port
        self._dropping = 0
        self._ticked = asyncio.Event()
        self._sockets: dict[web.WebSocketResponse, Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()

    # ---- life ----

    async def __aenter__(self) -> Self:
        self.market.extend(self.clock.now())
        application = web.Application()
        application.add_routes(Rest(self).routes())
        application.add_routes(Control(self).routes())
        application.add_routes([web.get("/ws", self._socket)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
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
        await asyncio.wait({self._ticker, *self._closing})
        self.faults.end_all()
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
    def connections(self) -> int:
        """How many WebSockets are open."""
        return len(self._sockets)

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
            self.faults.advance(moment)
            self._ticked.set()
            self._ticked = asyncio.Event()

    async def ticked(self) -> None:
        """Wait until exchange time has moved on."""
        await self._ticked.wait()

    # ---- faults for tests ----

    async def close_connections(self, code: int | None = 1001) -> None:
        """Close every WebSocket with that code; None: without a close frame."""
        for socket, connection in list(self._sockets.items()):
            self._sockets.pop(socket, None)
            if code is None or connection.line.is_half_open:
                connection.line.abort()
            else:
                # One that reads nothing must not hold this up.
                await socket.close(code=code, drain=False)

    def is_dropped(self) -> bool:
        """Whether the next frame with trades or candles gets a sequence number and is not sent."""
        if self._dropping == 0:
            return False
        self._dropping -= 1
        return True

    def is_muted(self, channel: str, symbol: str = "") -> bool:
        """Whether nothing of this symbol is to be sent on that channel; a fault without channel spares the beats."""
        fault = self.faults.find("ws.mute", symbol, channel)
        return fault is not None and (channel != "heartbeats" or fault.channel == channel)

    def _suffer(self, fault: Fault) -> int:
        """Do what a fault does at once to whom is connected; returns how many those are."""
        if fault.kind == "ws.close":
            task = asyncio.ensure_future(self.close_connections(fault.code or 1001))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        elif fault.kind in ("ws.rst", "exchange.down"):
            for connection in self._sockets.values():
                connection.line.abort()
        elif fault.how == "skip":
            self._dropping = max(1, int(fault.amount))
        elif fault.kind.startswith("ws."):
            for connection in self._sockets.values():
                connection.suffer(fault)
        return len(self._sockets) if fault.kind in AT_ONCE else 0

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

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """The answer in place of a WebSocket; None where there is one."""
        faults = self.faults
        faults.count("connection")
        hanging = faults.take("ws.hang")
        if hanging is not None:
            await hanging.over.wait()
        if faults.take("ws.refuse") is not None and request.transport is not None:
            request.transport.abort()
        refused = faults.take("ws.upgrade")
        if refused is not None or faults.find("exchange.down") is not None:
            return answer(None if refused is None else refused.fault)
        return None if self._connects.take() else web.Response(status=429)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._refusal(request)
        if refusal is not None or request.transport is None or request.transport.is_closing():
            return refusal or web.Response(status=503)
        # Whether a farewell is answered is for the connection to say.
        socket = web.WebSocketResponse(compress=False, autoclose=False)
        await socket.prepare(request)
        line = Line(socket, request.transport, self.faults, self.read_within)
        line.is_silent = self.faults.take("ws.silent") is not None
        connection = self._sockets[socket] = Connection(self, socket, line)
        self.connected += 1
        try:
            await connection.serve()
        except ConnectionError:
            pass  # nobody is there any more to be told
        finally:
            self._sockets.pop(socket, None)
        return socket
