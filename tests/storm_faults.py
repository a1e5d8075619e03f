"""What is done to a server under a run: each fault lasts until the run has named it, then it is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis_server import RedisServer

USER, PASSWORD = "livermore", "storm"
# For the server's command line: who livermore is (whoever does the harm is another), and a disk that is synced each
# second, for at this speed of time an hour's minutes are written in six.
OPTIONS = ("--appendfsync", "everysec", "--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
# Longer than livermore waits for an answer.
PAUSE_MILLISECONDS = 2500
AGAIN_EVERY = 0.01
NOWHERE = ("127.0.0.1", "1")

Named = Callable[[], Awaitable[Any]]
Harm = Callable[[RedisServer, Named, float], Awaitable[None]]


def url_of(server: RedisServer) -> str:
    """The server for livermore, by its name and password."""
    return f"unix://{USER}:{PASSWORD}@{server.socket}"


async def killed(server: RedisServer, named: Named, seconds: float) -> None:
    """Killed, and started with what it had acknowledged."""
    await server.kill()
    await named()
    await server.start()


async def emptied(server: RedisServer, named: Named, seconds: float) -> None:
    """Killed, and started with nothing."""
    await server.restart(empty=True)
    await named()


async def frozen(server: RedisServer, named: Named, seconds: float) -> None:
    """Stopped: it takes connections and answers nothing."""
    server.freeze()
    try:
        await asyncio.gather(named(), asyncio.sleep(seconds))
    finally:
        server.thaw()


async def readonly(server: RedisServer, named: Named, seconds: float) -> None:
    """A replica of a server that is not there."""
    await _tell(server, "REPLICAOF", *NOWHERE)
    await named()
    await _tell(server, "REPLICAOF", "NO", "ONE")


async def full(server: RedisServer, named: Named, seconds: float) -> None:
    """It holds more than it may, and drops nothing."""
    await _tell(server, "CONFIG", "SET", "maxmemory", "1")
    await named()
    await _tell(server, "CONFIG", "SET", "maxmemory", "0")


async def evicting(server: RedisServer, named: Named, seconds: float) -> None:
    """It holds more than it may, and drops what was used least."""
    used = (await _tell(server, "INFO", "memory"))["used_memory"]
    await _tell(server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await _tell(server, "CONFIG", "SET", "maxmemory", str(int(used * 0.98)))
    await named()
    await _tell(server, "CONFIG", "SET", "maxmemory", "0")
    await _tell(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")


async def slow(server: RedisServer, named: Named, seconds: float) -> None:
    """Every answer comes too late."""
    await _again(server, named, "CLIENT", "PAUSE", str(PAUSE_MILLISECONDS), "ALL")


async def denied(server: RedisServer, named: Named, seconds: float) -> None:
    """Its user may read, and write no more."""
    await _tell(server, "ACL", "SETUSER", USER, "-@write")
    await named()
    await _tell(server, "ACL", "SETUSER", USER, "+@all")


async def dropped(server: RedisServer, named: Named, seconds: float) -> None:
    """Every connection is cut, again and again."""
    await _again(server, named, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def _again(server: RedisServer, named: Named, *words: str) -> None:
    naming = asyncio.ensure_future(named())
    try:
        while not naming.done():
            await _tell(server, *words)
            await asyncio.wait({naming}, timeout=AGAIN_EVERY)
        naming.result()
    finally:
        naming.cancel()


async def _tell(server: RedisServer, *words: str) -> Any:
    def tell() -> Any:
        with server.client() as client:
            return client.execute_command(*words)

    return await asyncio.to_thread(tell)


class Kind(NamedTuple):
    """A fault of the server: how it is done, by which event and which reasons it is named, and what says its end."""

    harm: Harm
    begins: str
    reasons: frozenset[str]
    ends: str


def _error(harm: Harm, *reasons: str) -> Kind:
    return Kind(harm, "store.error", frozenset(reasons), "store.well")


def _loss(harm: Harm) -> Kind:
    return Kind(harm, "store.lost", frozenset({"store.lost"}), "store.refilled")


KINDS = {
    "killed": _error(killed, "store.unavailable", "store.timeout", "store.loading"),
    "emptied": _loss(emptied),
    "frozen": _error(frozen, "store.timeout"),
    "readonly": _error(readonly, "store.readonly"),
    "full": _error(full, "store.full"),
    "evicting": _loss(evicting),
    "slow": _error(slow, "store.timeout"),
    "denied": _error(denied, "store.credentials"),
    "dropped": _error(dropped, "store.unavailable"),
}
