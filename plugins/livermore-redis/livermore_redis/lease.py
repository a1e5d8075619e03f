"""Who may write: a lease per stream, by the server's clock; one that is held is waited for, a lost one is over."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import Any

from livermore_core import StoreHeldError, StoreLostError, Trouble
from livermore_redis.connection import Server, asked
from livermore_redis.layout import Layout
from livermore_redis.scripts import LEASE_MILLISECONDS

RENEW_EVERY = 1.0
LOOK_EVERY = 0.5
PATIENCE = 30.0
# Who holds what is wanted.
Held = bytes | None


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

    async def claim(
        self, roles: Collection[str], *, wait: bool, say: Callable[[str, Mapping[str, Any]], None], trouble: Trouble
    ) -> None:
        """Hold every stream of the roles; wait for whoever holds them. Raises StoreHeldError, with `wait` never."""
        was_said = False
        while (holder := await self._held(roles, math.inf if wait else PATIENCE, trouble)) is not None:
            trouble.well()
            if not wait:
                raise StoreHeldError(held_text(self._server.where, holder))
            if not was_said:
                was_said = True
                say("store.standby", {"store": self._server.where, "holder": described(holder)})
            await asyncio.sleep(LOOK_EVERY)
        if was_said:
            say("store.taken_over", {"store": self._server.where})

    async def _held(self, roles: Collection[str], patience: float, trouble: Trouble) -> Held:
        """Claim all of the roles, or nothing: who holds one of them. What is of no use here may be of use to others."""
        streams = [each for each in self._layout.streams if self._layout.role(each) in roles]
        # Whoever has the first of a role has no rival for the others; the first ones lie in one shard.
        first = [each for each in streams if each % self._layout.shards == 0]
        claims = [*([each] for each in first), [each for each in streams if each not in first]]
        steps = [partial(self._looked, first), *(partial(self._claimed, each) for each in claims)]
        for step in steps:
            held: Held = await asked(self._server, step, patience=patience, trouble=trouble)
            if held is not None:
                await asked(self._server, self.release, patience=patience, trouble=trouble)
                return held
        return None

    async def _looked(self, streams: Sequence[int]) -> Held:
        owners = await self._server.script("OWNERS", [self._layout.head(stream) for stream in streams])
        return next((owner for owner in owners if owner not in (b"", self.owner.encode())), None)

    async def _claimed(self, streams: Sequence[int]) -> Held:
        calls = [
            ([self._layout.head(stream), self._layout.log(stream)], [self.owner, LEASE_MILLISECONDS])
            for stream in streams
        ]
        held = None
        for stream, answer in zip(streams, await self._server.all("CLAIM", calls), strict=True):
            if answer[0] == b"claimed":
                self.epochs[stream] = int(answer[1])
            else:
                held = answer[1]
        return held

    async def renew(self, milliseconds: int = LEASE_MILLISECONDS) -> dict[int, int]:
        """Let all of it go on; the sequence number of each stream, as the server knows it.

        Raises StoreHeldError where another took over, StoreLostError where nobody knows.
        """
        epochs = dict(self.epochs)
        calls = [([self._layout.head(stream)], [self.owner, epoch, milliseconds]) for stream, epoch in epochs.items()]
        answers = await self._server.all("RENEW", calls)
        for answer in answers:
            self.check(answer)
        return {stream: int(answer[1]) for stream, answer in zip(epochs, answers, strict=True)}

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
        """Let others in at once; what another has by now stays its own."""
        with suppress(StoreHeldError, StoreLostError):
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


def id_of(owner: str | bytes) -> str:
    """What no other owner has; "" for what is no signature of ours."""
    try:
        return str(json.loads(owner)["id"])
    except (ValueError, TypeError, KeyError):
        return ""
