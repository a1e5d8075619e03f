"""What becomes of a request and of its answer while a fault is active."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from aiohttp import web

from livermore_simulator import wire
from livermore_simulator.faults import Faults, Played
from livermore_simulator.market import Minute
from livermore_simulator.mutations import MUTATIONS, Page

if TYPE_CHECKING:
    from livermore_core.testing import Fault

DRIP_EVERY = 0.02
HTML = "<html><head><title>{0}</title></head><body>{0}</body></html>"
JSON = '{"error":"unknown","code":2,"message":"simulated","details":[]}'


async def refusal(faults: Faults, symbol: str) -> web.Response | None:
    """The answer that comes in place of the right one, after what holds it up; None where the right one comes."""
    delay = faults.take("rest.delay", symbol)
    if delay is not None:
        await asyncio.sleep(delay.fault.amount)
    hanging = faults.take("rest.hang", symbol)
    if hanging is not None:
        await hanging.over.wait()
    status = faults.take("rest.status", symbol)
    if status is not None:
        return answer(status.fault)
    return answer(None) if faults.find("exchange.down") else None


def answer(fault: Fault | None) -> web.Response:
    """The status, headers and kind of body that a fault says, else 503 in HTML."""
    status = fault.code if fault is not None and fault.code else 503
    headers = fault.headers if fault is not None else None
    if fault is not None and fault.body == "json":
        return web.Response(status=status, text=JSON, content_type="application/json", headers=headers)
    return web.Response(status=status, text=HTML.format(status), content_type="text/html", headers=headers)


async def sent(faults: Faults, request: web.Request, symbol: str, response: web.Response) -> web.StreamResponse:
    """The answer, on its way byte by byte or cut off where a fault says so."""
    cut, drip = faults.take("rest.cut", symbol), faults.take("rest.drip", symbol)
    if cut is None and drip is None:
        return response
    body = response.body
    assert isinstance(body, bytes)
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    try:
        await stream.prepare(request)
        if drip is not None:
            await _drip(stream, drip, body)
        elif cut is not None:
            await stream.write(body[: int(cut.fault.amount)])
            if request.transport is not None:
                request.transport.close()
    except ConnectionError:
        pass  # the client has had enough
    return stream


async def _drip(stream: web.StreamResponse, played: Played, body: bytes) -> None:
    rate = played.fault.amount or 1.0
    size = max(1, int(rate * DRIP_EVERY))
    for start in range(0, len(body), size):
        if played.over.is_set():
            await stream.write(body[start:])
            return
        await stream.write(body[start : start + size])
        await asyncio.sleep(size / rate)


def mutated(fault: Fault, rows: list[Minute], earlier: list[Minute], width: int, now: float, seed: str) -> object:
    """The body of a page of candles, changed as the fault says."""
    printed = [wire.candle(row) for row in reversed(rows)]
    before = [wire.candle(row) for row in reversed(earlier)]
    return {"candles": MUTATIONS[fault.how](Page(printed, before, width, now, fault.amount, Random(seed)))}
