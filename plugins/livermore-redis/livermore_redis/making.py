"""What holds for the whole store: made by whoever comes first, refused where it is another's."""

from __future__ import annotations

import time

from livermore_core import ConfigurationError, StoreAbsentError, StoreError
from livermore_redis.connection import Server, asked
from livermore_redis.layout import SHARDS, Layout

VERSION = 1


async def found(server: Server, patience: float, *, make: bool) -> tuple[str, Layout]:
    """The generation of the store and its layout. Raises ConfigurationError, StoreAbsentError where there is none."""
    key = Layout(server.prefix).store
    try:
        if make:
            fresh = (VERSION, SHARDS, format(time.time_ns() // 1000, "x"))
            await asked(server, lambda: server.script("MAKE", [key], fresh), patience=patience)
        said = await asked(server, lambda: server.client.hgetall(key), patience=patience)
    except StoreError as error:
        if "WRONGTYPE" in str(error):
            raise _foreign(server, key, "no hash") from None
        raise
    if not said:
        raise StoreAbsentError(
            f"{server.where}: there is no store below {server.prefix!r} yet; `livermore start` makes one"
        )
    if said.get(b"version") != str(VERSION).encode():
        raise _foreign(server, key, f"schema {said.get(b'version', b'?')[:20]!r}")
    return said[b"generation"].decode(), Layout(server.prefix, int(said[b"shards"]))


def _foreign(server: Server, key: str, cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"{server.where}: {key} is not of this livermore ({cause}); upgrade livermore, or name another ?prefix="
    )
