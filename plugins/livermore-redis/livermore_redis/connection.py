"""Speaking to a server: every answer within a time, forgotten scripts told again, what passes asked again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livermore_core import CredentialsError, Trouble, __version__
from livermore_redis.address import Address
from livermore_redis.failures import CREDENTIALS, ERRORS, LASTING, PASSING, READONLY, failure, reason_of
from livermore_redis.scripts import ALL

CONNECTIONS = 8
# Of each node of a cluster, whose pools do not wait for a connection to be free.
CLUSTER_CONNECTIONS = 64
Answer = Any
Command = Sequence[Any]
# Keys and arguments of a script.
Call = tuple[Sequence[Any], Sequence[Any]]


class Server:
    """A server, or a cluster of them, and the keys below a prefix."""

    def __init__(self, client: Any, address: Address) -> None:
        self.client, self.address = client, address
        self.where, self.prefix = address.where, address.prefix
        self.closed = False

    async def script(self, name: str, keys: Sequence[Any], arguments: Sequence[Any] = ()) -> Any:
        """Run one of the scripts. Raises what redis-py raises."""
        text, digest = ALL[name]
        try:
            return await self.client.evalsha(digest, len(keys), *keys, *arguments)
        except exceptions.NoScriptError:
            return await self.client.eval(text, len(keys), *keys, *arguments)

    async def scripts(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script once for each shard, in one round trip where it is one server; results, or what was raised."""
        return list(await cancellable(lambda: self._scripts(name, calls)))

    async def _scripts(self, name: str, calls: Sequence[Call]) -> list[Any]:
        if len(calls) == 1 or self.address.cluster:
            running = (self.script(name, keys, arguments) for keys, arguments in calls)
            return list(await asyncio.gather(*running, return_exceptions=True))
        text, digest = ALL[name]
        found = await self._called("EVALSHA", digest, calls)
        forgotten = [at for at, each in enumerate(found) if isinstance(each, exceptions.NoScriptError)]
        if forgotten:
            again = await self._called("EVAL", text, [calls[at] for at in forgotten])
            for at, each in zip(forgotten, again, strict=True):
                found[at] = each
        return found

    async def all(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """The same, where one that fails fails the whole."""
        return _sound(await self.scripts(name, calls) if calls else [])

    async def between(self, before: Command, name: str, keys: Sequence[Any], after: Command) -> list[Any]:
        """Answers of a command, a script and a command, in this order and one round trip; of what is no cluster."""
        text, digest = ALL[name]
        answers = await self._together([before, ("EVALSHA", digest, len(keys), *keys), after])
        if any(isinstance(each, exceptions.NoScriptError) for each in answers):
            answers = await self._together([before, ("EVAL", text, len(keys), *keys), after])
        return _sound(answers)

    async def _called(self, command: str, script: str, calls: Sequence[Call]) -> list[Any]:
        return await self._together([(command, script, len(keys), *keys, *arguments) for keys, arguments in calls])

    async def _together(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    async def drop(self) -> None:
        """Forget every connection: the server at the other end may no longer be the one to ask."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is not None:
            await pool.disconnect(inuse_connections=False)


def _sound(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Server]:
    """A server to ask, unasked yet; its connections are closed at the end."""
    client = _client(address)
    server = Server(client, address)
    try:
        yield server
    finally:
        server.closed = True
        await client.aclose()


def _client(address: Address) -> Any:
    # redis-py's own defaults wait for a minute at a server that has stopped; who retries here knows what it sends.
    patience: dict[str, Any] = {
        "socket_timeout": address.timeout,
        "socket_connect_timeout": address.timeout,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 0),
        "client_name": f"livermore-{__version__}",
        # Answers have the same form whatever the library thinks newest.
        "protocol": 2,
    }
    options = {name: value for name, value in address.options.items() if value is not None}
    if address.cluster:
        options.pop("db", None)
        patience |= {"retry": Retry(NoBackoff(), 3), "max_connections": CLUSTER_CONNECTIONS}
        return RedisCluster(**options, **patience)
    way: type[Connection | UnixDomainSocketConnection] = Connection
    if "unix_socket_path" in options:
        way, options["path"] = UnixDomainSocketConnection, options.pop("unix_socket_path")
    elif options.pop("ssl", False):
        way = SSLConnection
    pool: ConnectionPool = BlockingConnectionPool(
        connection_class=way, max_connections=CONNECTIONS, timeout=address.timeout, **options, **patience
    )
    return Redis.from_pool(pool)


async def cancellable(question: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask, and be cancelled at any moment: redis-py sends by `wait_for`, which in Python 3.11 eats a cancellation."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        return await question()
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def asked(
    server: Server,
    question: Callable[[], Awaitable[Answer]],
    *,
    patience: float,
    trouble: Trouble | None = None,
) -> Answer:
    """Ask again what passes, with growing pauses, for `patience` seconds; `trouble` hears of it meanwhile.

    Raises StoreError, also once the server is closed here; CredentialsError where they are refused and patience has
    an end.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + patience, 0.05
    while True:
        try:
            return await cancellable(question)
        except ERRORS as error:
            reason = reason_of(error)
            waits = loop.time() + pause <= deadline and not server.closed
            if reason not in PASSING or not waits or (reason in LASTING and deadline < math.inf):
                told = failure(server.where, error)
                raise (CredentialsError(str(told)) if reason == CREDENTIALS else told) from None
            if trouble is not None:
                trouble.bad(reason, failure(server.where, error))
            if reason == READONLY:
                await server.drop()
        await asyncio.sleep(pause)
        pause = min(1.0, 2 * pause)
