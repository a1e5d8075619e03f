"""What the tests of this plugin share: the recorded samples, and a scripted Coinbase on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from livermore_coinbase.client import CoinbaseClient, open_client
from livermore_coinbase.settings import CoinbaseSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedCoinbase:
    """A server whose REST answers and WebSocket are what a test says; it records what it was asked."""

    def __init__(self) -> None:
        self.rest: Handler = self._nothing
        self.socket: Callable[[web.WebSocketResponse], Awaitable[None]] = self._silence
        self.requests: list[web.Request] = []
        self.port = 0

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def settings(self, **more: Any) -> CoinbaseSettings:
        return CoinbaseSettings(rest_url=self.rest_url, ws_url=self.ws_url, **more)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/ws", self._websocket)
        application.router.add_get("/{path:.*}", self._rest)
        return application

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.rest(request)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(timeout=0.1, compress=False)
        await socket.prepare(request)
        await self.socket(socket)
        return socket

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def _silence(self, socket: web.WebSocketResponse) -> None:
        async for _ in socket:
            pass


@pytest.fixture
async def coinbase() -> AsyncIterator[ScriptedCoinbase]:
    server = ScriptedCoinbase()
    runner = web.AppRunner(server.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(coinbase: ScriptedCoinbase) -> AsyncIterator[CoinbaseClient]:
    """A client without a key, connected to the scripted Coinbase."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_client(coinbase.settings()))


@pytest.fixture(scope="session")
def samples() -> list[dict[str, Any]]:
    """The recorded payloads. They are not part of the repository."""
    root = next(parent for parent in Path(__file__).resolve().parents if (parent / "livermore_core").is_dir())
    path = root.parent / "shared" / "data" / "coinbase-recorded-samples.jsonl"
    if not path.is_file():
        pytest.skip("the recorded samples (shared/data/coinbase-recorded-samples.jsonl) are not on this machine")
    return [json.loads(line) for line in path.read_text().splitlines()]
