"""The control interface, for tests: state, truth, time, speed and faults of a simulated exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from livermore_core.testing.faults import one_fault
from livermore_simulator import wire
from livermore_simulator.clock import FASTEST
from livermore_simulator.primitives import WIRE, unmeant
from livermore_simulator.truth import WIDTHS

if TYPE_CHECKING:
    from livermore_simulator.server import SimulatedExchange

Number = TypeVar("Number", int, float)


class Control:
    """Handlers of one simulated exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """Everything below `/control`."""
        return [
            web.get("/control/state", self._state),
            web.get("/control/truth", self._truth),
            web.get("/control/reached", self._reached),
            web.post("/control/speed", self._set_speed),
            web.get("/control/faults", self._faults),
            web.post("/control/faults", self._begin),
            web.delete("/control/faults", self._end),
        ]

    async def _state(self, request: web.Request) -> web.Response:
        exchange = self._exchange
        first, last = exchange.market.span
        return _json(
            {
                "exchange_time": exchange.clock.now(),
                "speed": exchange.clock.speed,
                "seed": exchange.seed,
                "statuses": {str(status): count for status, count in sorted(exchange.statuses.items())},
                "candle_requests": exchange.candle_requests,
                "connections": exchange.connections,
                "connected": exchange.connected,
                "first": first,
                "last": last,
            }
        )

    async def _truth(self, request: web.Request) -> web.Response:
        """The rows that REST has; with `summed=1` what the minutes add up to, where that is not the same."""
        exchange, query = self._exchange, request.query
        product = exchange.market.find(query.get("symbol", ""))
        timeframe = query.get("timeframe", "1m")
        if product is None or timeframe not in WIDTHS:
            return web.Response(status=404, text="no such symbol or timeframe\n")
        start, end = _number(query, "start", "0", int), _number(query, "end", str(1 << 40), int)
        tell = exchange.truth.sums if query.get("summed") == "1" else exchange.truth.candles
        return _json({"rows": tell(product.symbol, timeframe, start, end, exchange.clock.now())})

    async def _reached(self, request: web.Request) -> web.Response:
        """Answer once exchange time has got to `moment`."""
        moment = _number(request.query, "moment", "", float)
        while self._exchange.clock.now() < moment:
            await self._exchange.ticked()
        return await self._state(request)

    async def _set_speed(self, request: web.Request) -> web.Response:
        try:
            asked = (await request.json()).get("speed")
        except (ValueError, AttributeError):
            raise web.HTTPBadRequest(text='write e.g. {"speed": 60}\n') from None
        if isinstance(asked, bool) or not isinstance(asked, int | float) or not 0.0 <= asked <= FASTEST:
            raise web.HTTPBadRequest(text=f"speed must be a number from 0 to {FASTEST}\n")
        self._exchange.clock.set_speed(float(asked))
        return _json({"speed": self._exchange.clock.speed})

    # ---- faults ----

    async def _faults(self, request: web.Request) -> web.Response:
        return _json(self._exchange.faults.told())

    async def _begin(self, request: web.Request) -> web.Response:
        """Let one fault begin: now, or when it says, counted from now."""
        try:
            fault = one_fault(await request.read(), WIRE)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        unknown = unmeant([fault], self._exchange.market.products)
        if unknown:
            return web.Response(status=400, text=f"{unknown}\n")
        self._exchange.faults.plan([fault])
        return await self._faults(request)

    async def _end(self, request: web.Request) -> web.Response:
        """End them all, those to come included."""
        self._exchange.faults.end_all()
        return await self._faults(request)


def _number(query: Mapping[str, str], key: str, default: str, kind: Callable[[str], Number]) -> Number:
    try:
        return kind(query.get(key, default))
    except ValueError:
        raise web.HTTPBadRequest(text=f"`{key}` must be UNIX seconds, not {query.get(key, default)!r}\n") from None


def _json(body: Any) -> web.Response:
    return web.Response(body=wire.encode(body), content_type="application/json")
