"""A wire between a client and a Redis server that can be slow, and can cut off an answer; with TLS if wanted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis_server import RedisServer


class Proxy:
    """`delay` holds every answer back; after a question with `cut` in it the server answers, and nobody hears it."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.delay = 0.0
        self.cut = b""
        self.cuts = self.connections = 0
        self._cutting: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_unix_connection(self._server.socket)
        except OSError:
            writer.close()
            return
        with suppress(OSError, ssl.SSLError):
            ways = (self._ask(reader, back, writer), self._answer(there, writer))
            _, left = await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when="FIRST_COMPLETED")
            for way in left:
                way.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self._cutting.discard(writer)
        for end in (back, writer):
            end.close()

    async def _ask(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(1 << 16):
            if self.cut and self.cut in data:
                self.cut = b""
                self._cutting.add(writer)
            back.write(data)

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(1 << 16):
            if writer in self._cutting:
                self.cuts += 1
                return
            await asyncio.sleep(self.delay)
            writer.write(data)


@asynccontextmanager
async def proxied(server: RedisServer) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy on a socket beside that of the server, and its URL."""
    proxy, path = Proxy(server), server.folder / "proxy.sock"
    async with await asyncio.start_unix_server(proxy.serve, path):
        yield proxy, f"unix://{path}"


@asynccontextmanager
async def proxied_with_tls(server: RedisServer, certificate: Path) -> AsyncIterator[int]:
    """The same on a port of loopback, where it speaks TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(Proxy(server).serve, "127.0.0.1", 0, ssl=context) as serving:
        yield int(serving.sockets[0].getsockname()[1])
