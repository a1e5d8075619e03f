"""Who may write: a lease per stream, by the server's clock; one that is held is waited for, a lost one is over."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from livermore_core import StoreHeldError, StoreLostError
from livermore_redis.connection import Server, asked
from livermore_redis.layout import Layout
from livermore_redis.scripts import LEASE_MILLISECONDS

RENEW_EVERY = 1.0
LOOK_EVERY = 0.5
PATIENCE = 30.0


class Lease:
    """The streams that this process holds: `epochs` by stream. `owner` says who it is, and is no other's."""

    def __init__(self, server: Server, layout: Layout) -> None:
        self._server, self._layout = server, layout
        self.owner = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "id": token_hex(8),
            }
        )
        self.epochs: dict[int, int] = {}

    async def claim(self, roles: Collection[str], *, wait: bool, say: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Hold every stream of the roles; wait for whoever holds them. Raises StoreHeldError, with `wait` never."""
        was_said = False
        for stream in (each for each in self._layout.streams if self._layout.role(each) in roles):
            while not await self._claimed(stream):
                if not wait:
                    raise StoreHeldError(held_text(self._server.where, self._holder))
                if not was_said:
                    was_said = True
                    say("store.standby", {"store": self._server.where, "holder": described(self._holder)})
                # Those that are held already must not run out meanwhile.
                await self.renew()
                await asyncio.sleep(min(LOOK_EVERY, self._left))
        if was_said:
            say("store.taken_over", {"store": self._server.where})

    async def _claimed(self, stream: int) -> bool:
        keys, arguments = [self._layout.head(stream)], [self.owner, LEASE_MILLISECONDS]
        answer = await asked(self._server, lambda: self._server.script("CLAIM", keys, arguments), patience=PATIENCE)
        if answer[0] == b"claimed":
            self.epochs[stream] = int(answer[1])
            return True
        self._holder, self._left = answer[1], int(answer[2]) / 1000.0 + 0.01
        return False

    async def renew(self, milliseconds: int = LEASE_MILLISECONDS) -> None:
        """Let all of it go on. Raises StoreHeldError where another took over, StoreLostError where nobody knows."""
        calls = [
            ([self._layout.head(stream)], [self.owner, epoch, milliseconds]) for stream, epoch in self.epochs.items()
        ]
        if not calls:
            return
        for answer in await self._server.scripts("RENEW", calls):
            if isinstance(answer, BaseException):
                raise answer
            self.check(answer)

    def check(self, answer: list[bytes]) -> None:
        """What an answer says of the lease. Raises StoreHeldError, StoreLostError."""
        if answer[0] == b"fenced":
            raise StoreHeldError(
                f"{held_text(self._server.where, answer[1])}; it took over while this process was away"
            )
        if answer[0] == b"gone":
            raise StoreLostError(
                f"store.lost: {self._server.where}: the server has forgotten what this run has written"
            )

    async def release(self) -> None:
        """Let others in at once."""
        await self.renew(0)
        self.epochs.clear()


def held_text(where: str, owner: bytes) -> str:
    """What to say where another holds the store."""
    return f"{where}: another instance holds this store: {described(owner)}; stop it first"


def described(owner: bytes) -> str:
    """An owner in words; what is no signature of ours is not repeated."""
    try:
        said = json.loads(owner)
        return f"pid {said['pid']} on {said['host']} since {said['since']}"
    except (ValueError, TypeError, KeyError):
        return "unknown"
