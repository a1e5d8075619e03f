"""No test reaches beyond loopback: the guard refuses it, and says so."""

from __future__ import annotations

import asyncio
import socket

import pytest


def test_a_connection_beyond_loopback_is_refused_and_named() -> None:
    with socket.socket() as outgoing, pytest.raises(RuntimeError, match=r"connection to '192\.0\.2\.1' was refused"):
        outgoing.connect(("192.0.2.1", 80))


def test_a_look_up_of_a_foreign_name_is_refused() -> None:
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.getaddrinfo("example.org", 443)


async def test_loopback_is_allowed() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.close()
        await writer.wait_closed()
