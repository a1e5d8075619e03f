"""A pytest plugin (`-p livermore_core.testing.pytest_plugin`): no test reaches beyond loopback."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest


class BeyondLoopbackError(RuntimeError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse, and say so, every connection and look-up that is not loopback."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(original: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            _check(self.family, address[0] if isinstance(address, tuple) else address)
            return original(self, address)

        return call

    def guarded_look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        _check(socket.AF_INET, host)
        return look_up(host, *arguments, **more)

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


def _check(family: int, host: Any) -> None:
    if family == socket.AF_UNIX or host in (None, "", "localhost", b"localhost"):
        return
    try:
        allowed = ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        allowed = False
    if not allowed:
        raise BeyondLoopbackError(f"tests stay on this machine: a connection to {host!r} was refused")


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """The recorded market data beside the checkout; the test skips where it is absent."""
    data = pytestconfig.rootpath.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no recorded market data: ../shared/data is absent")
    return data
