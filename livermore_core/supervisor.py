"""Tells the service manager that started us that we are ready, alive and stopping, in the words of sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress


class Supervisor:
    """Speaks to the socket that `NOTIFY_SOCKET` names; without one nothing is said.

    `interval` are the seconds between two signs of life, half of what `WATCHDOG_USEC` allows; None: nobody waits.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        allowed = environ.get("WATCHDOG_USEC", "")
        is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        is_watched = bool(self._address) and is_for_us and allowed.isascii() and allowed.isdigit() and int(allowed) > 0
        self.interval = int(allowed) / 2e6 if is_watched else None

    def say(self, word: str) -> None:
        """`READY=1`, `STOPPING=1` or `WATCHDOG=1`. A manager that does not listen is no reason to fail."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.connect(address)
            line.send(word.encode())

    async def keep_alive(self, is_progressing: Callable[[], bool], ready: Callable[[], None]) -> None:
        """A sign of life each `interval`, for as long as there is progress: a loop that merely turns is none."""
        assert self.interval is not None
        ready()
        while True:
            if is_progressing():
                self.say("WATCHDOG=1")
            await asyncio.sleep(self.interval)
