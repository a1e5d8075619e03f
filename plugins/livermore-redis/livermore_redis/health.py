"""Whether a server is fit to keep data: its version, what it may evict, what it keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis import exceptions

from livermore_redis.connection import Server

OLDEST = (6, 2)
# Before 4.5.4 an answer could reach whoever asked next.
OLDEST_CLIENT = (6, 4)
CLIENT = redis.__version__
Advice = tuple[str, str]
LEVELS = ("ok", "warn", "fail")


async def advice(server: Server) -> list[Advice]:
    """What to say of the server: pairs of ok, warn or fail and a text with the mend. Raises what redis-py raises."""
    try:
        found = await _said(server)
    except exceptions.NoPermissionError:
        unknown = "the user may not ask INFO: nobody can tell whether it evicts, or keeps anything on disk"
        return [_version("redis-py", CLIENT, OLDEST_CLIENT), ("warn", unknown)]
    of_each = [
        (_version("Redis", str(said.get("redis_version", "0")), OLDEST), _eviction(said), _persistence(said))
        for said in found
    ]
    return [_version("redis-py", CLIENT, OLDEST_CLIENT), *map(_worst, zip(*of_each, strict=True))]


async def evictions(server: Server) -> int:
    """How many keys the server has evicted since it started; 0 where it may not be asked. Raises as `advice` does."""
    try:
        return sum(int(said.get("evicted_keys", 0)) for said in await _said(server, "stats"))
    except exceptions.NoPermissionError:
        return 0


async def _said(server: Server, *sections: str) -> list[dict[str, Any]]:
    """What the server says of itself; of a cluster everyone that is written to."""
    if not server.address.cluster:
        return [await server.client.info(*sections)]
    return [await server.client.info(*sections, target_nodes=node) for node in server.client.get_primaries()]


def _worst(said: Sequence[Advice]) -> Advice:
    return max(said, key=lambda each: LEVELS.index(each[0]))


def _version(what: str, text: str, oldest: tuple[int, ...]) -> Advice:
    found = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    if found < oldest:
        return "fail", f"{what} {text} is too old; {'.'.join(str(part) for part in oldest)} is the least"
    return "ok", f"{what} {text}"


def _eviction(said: dict[str, Any]) -> Advice:
    policy, limit = str(said.get("maxmemory_policy", "noeviction")), int(said.get("maxmemory", 0))
    # Nothing of ours has a time to live, so that only a policy for all keys can drop it.
    if not policy.startswith("allkeys"):
        return "ok", f"maxmemory-policy {policy} drops nothing of ours"
    if limit:
        return "fail", (
            f"store.evicting: maxmemory-policy {policy} drops candles silently at {limit} bytes;"
            " set it to noeviction: CONFIG SET maxmemory-policy noeviction"
        )
    return "warn", f"maxmemory-policy {policy} would drop candles silently, were maxmemory set; set it to noeviction"


def _persistence(said: dict[str, Any]) -> Advice:
    if int(said.get("aof_enabled", 0)):
        return "ok", "the append-only file is on"
    return "warn", "no append-only file: a crash loses what no snapshot holds; CONFIG SET appendonly yes"
