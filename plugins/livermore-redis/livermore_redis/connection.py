"""Speaking to a server: every answer within a time, forgotten scripts told again, errors by what to do about them."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livermore_core import CredentialsError, StoreBusyError, StoreError, Trouble, __version__
from livermore_redis.address import Address
from livermore_redis.scripts import ALL

CONNECTIONS = 8
# Reason codes, by the kind of an error; some are kinds of others.
KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.AuthenticationError, "store.credentials"),
    (exceptions.AuthorizationError, "store.credentials"),
    (exceptions.NoPermissionError, "store.credentials"),
    (exceptions.BusyLoadingError, "store.loading"),
    (exceptions.MaxConnectionsError, "store.busy"),
    (exceptions.ReadOnlyError, "store.readonly"),
    (exceptions.OutOfMemoryError, "store.full"),
    (exceptions.ClusterError, "store.unavailable"),
    (exceptions.TryAgainError, "store.unavailable"),
    (exceptions.RedisClusterException, "store.unavailable"),
    (exceptions.TimeoutError, "store.timeout"),
    (exceptions.ConnectionError, "store.unavailable"),
    (TimeoutError, "store.timeout"),
    (OSError, "store.unavailable"),
)
# The same by a word in the text of an answer: where a script met it, there may be nothing else.
WORDS = {
    "NOPERM": "store.credentials",
    "READONLY": "store.readonly",
    "OOM": "store.full",
    "MISCONF": "store.refusing_writes",
    "NOREPLICAS": "store.refusing_writes",
}
CREDENTIALS, READONLY = "store.credentials", "store.readonly"
# What passes, so that the same is worth asking again.
PASSING = {CREDENTIALS, READONLY, "store.loading", "store.busy", "store.unavailable", "store.timeout"}
_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")
MENDS = {
    "store.full": "; raise maxmemory, or keep less (retention)",
    "store.refusing_writes": "; its disk or its replicas fail: see its log",
    "store.credentials": "; check user, password and the rights in docs/redis.md",
}
ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
Answer = Any


class Server:
    """A server, or a cluster of them, and the keys below a prefix."""

    def __init__(self, client: Any, address: Address) -> None:
        self.client, self.address = client, address
        self.where, self.prefix = address.where, address.prefix
        self._loaded = False

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any] = ()) -> Any:
        """Run one of the scripts. Raises what redis-py raises."""
        text, digest = ALL[name]
        try:
            return await self.client.evalsha(digest, len(keys), *keys, *arguments)
        except exceptions.NoScriptError:
            return await self.client.eval(text, len(keys), *keys, *arguments)

    async def scripts(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run a script once for each shard, in one round trip where it is one server; results, or what was raised."""
        if len(calls) == 1 or self.address.cluster:
            running = (self.script(name, keys, arguments) for keys, arguments in calls)
            return list(await asyncio.gather(*running, return_exceptions=True))
        digest = ALL[name][1]
        pipeline = self.client.pipeline(transaction=False)
        if not self._loaded:
            for each, _ in ALL.values():
                pipeline.script_load(each)
        for keys, arguments in calls:
            pipeline.evalsha(digest, len(keys), *keys, *arguments)
        found = (await pipeline.execute(raise_on_error=False))[-len(calls) :]
        if any(isinstance(each, exceptions.NoScriptError) for each in found):
            self._loaded = False
            # Those that ran already say so: every script that changes something knows what it has done.
            return await self.scripts(name, calls)
        self._loaded = True
        return list(found)

    async def drop(self) -> None:
        """Forget every connection: the server at the other end may no longer be the one to ask."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is not None:
            await pool.disconnect(inuse_connections=False)


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Server]:
    """A server to ask, unasked yet; its connections are closed at the end."""
    client = _client(address)
    try:
        yield Server(client, address)
    finally:
        await client.aclose()


def _client(address: Address) -> Any:
    # redis-py's own defaults wait for a minute at a server that has stopped; who retries here knows what it sends.
    patience: dict[str, Any] = {
        "socket_timeout": address.timeout,
        "socket_connect_timeout": address.timeout,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 0),
        "client_name": f"livermore-{__version__}",
    }
    options = {name: value for name, value in address.options.items() if value is not None}
    if address.cluster:
        options.pop("db", None)
        return RedisCluster(**options, **{**patience, "retry": Retry(NoBackoff(), 3)})
    way: type[Connection | UnixDomainSocketConnection] = Connection
    if "unix_socket_path" in options:
        way, options["path"] = UnixDomainSocketConnection, options.pop("unix_socket_path")
    elif options.pop("ssl", False):
        way = SSLConnection
    pool: ConnectionPool = BlockingConnectionPool(
        connection_class=way, max_connections=CONNECTIONS, timeout=address.timeout, **options, **patience
    )
    return Redis.from_pool(pool)


def reason_of(error: BaseException) -> str:
    """The reason code of an error."""
    for kind, reason in KINDS:
        if isinstance(error, kind):
            return reason
    found = _WORD.search(str(error))
    if found:
        return WORDS[found[0]]
    return "store.refusing_writes" if "stop-writes-on-bgsave-error" in str(error) else "store.error"


def failure(where: str, error: BaseException) -> StoreError:
    """What an error of the server means for whoever asked, with its reason code in front."""
    reason = reason_of(error)
    kind = StoreBusyError if reason in PASSING else StoreError
    return kind(f"{reason}: {where}: {str(error) or type(error).__name__}{MENDS.get(reason, '')}")


async def asked(
    server: Server,
    question: Callable[[], Awaitable[Answer]],
    *,
    patience: float,
    trouble: Trouble | None = None,
) -> Answer:
    """Ask again what passes, with growing pauses, for `patience` seconds; `trouble` hears of it meanwhile.

    Raises StoreError; CredentialsError where the server refuses them and patience has an end.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + patience, 0.05
    while True:
        try:
            return await question()
        except ERRORS as error:
            reason = reason_of(error)
            if reason == CREDENTIALS and deadline < math.inf:
                raise CredentialsError(str(failure(server.where, error))) from None
            if reason not in PASSING or loop.time() + pause > deadline:
                raise failure(server.where, error) from None
            if trouble is not None:
                trouble.bad(reason, failure(server.where, error))
            if reason == READONLY:
                await server.drop()
        await asyncio.sleep(pause)
        pause = min(1.0, 2 * pause)
