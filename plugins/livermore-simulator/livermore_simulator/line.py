"""One client's socket: what is written to it, and what a fault does to frames that are numbered already."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from livermore_simulator.faults import Faults

if TYPE_CHECKING:
    from livermore_core.testing import Fault


class Line:
    """Delivers frames in order, unless a fault says otherwise. A client that reads nothing is cut off."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        faults: Faults,
        read_within: float,
    ) -> None:
        self._socket, self._transport, self._faults, self._read_within = socket, transport, faults, read_within
        # Nothing is delivered any more; of a half-open one nothing is heard either.
        self.is_silent = self.is_half_open = False
        self._waiting: list[bytes] = []
        self._held = self._twice = self._swapped = 0

    def suffer(self, fault: Fault) -> None:
        """Do what a fault does to the next frames."""
        count = max(1, int(fault.amount))
        if fault.kind == "ws.blackhole":
            self.is_silent = self.is_half_open = True
        elif fault.kind == "ws.burst":
            self._held += count
        elif fault.how == "dup":
            self._twice += count
        elif fault.how == "swap":
            self._swapped += count

    async def send(self, frame: bytes) -> None:
        """Deliver a frame, or let it wait."""
        if self.is_silent:
            return
        self._waiting.append(frame)
        if self._twice:
            self._twice -= 1
            self._waiting.append(frame)
        self._held = max(0, self._held - 1)
        if self._swapped and len(self._waiting) > 1:
            self._swapped -= 1
            self._waiting[-2:] = self._waiting[:-3:-1]
            await self._deliver()
        else:
            await self.flush()

    async def flush(self) -> None:
        """Deliver what waits, unless it must wait on."""
        if self._waiting and not (self._held or self._swapped or self._faults.find("ws.stall") is not None):
            await self._deliver()

    async def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            await self._write(each, WSMsgType.TEXT)

    async def say(self, fault: Fault) -> None:
        """Deliver what is no frame of ours, as often as the fault says."""
        data = fault.body.encode("latin-1" if fault.how == "latin1" else "utf-8", "replace")
        for _ in range(max(1, int(fault.amount))):
            await self._write(data, WSMsgType.BINARY if fault.how == "binary" else WSMsgType.TEXT)

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    async def _write(self, data: bytes, kind: WSMsgType) -> None:
        # A slow reader may hold up exchange time, one that reads nothing may not. It is no timeout, since all who write
        # to a socket wait on one future: cancelling one of them would cancel the others.
        overdue = asyncio.get_running_loop().call_later(self._read_within, self.abort)
        try:
            await self._socket.send_frame(data, kind)
        finally:
            overdue.cancel()
