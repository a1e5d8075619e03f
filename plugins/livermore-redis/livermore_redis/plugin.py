"""The entry point: a store for each way to reach a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Store


@hookimpl
def register_stores() -> Iterable[Store]:
    """`redis://`, `rediss://` (TLS) and `unix://`."""
    from livermore_core import Store

    for scheme, way in (("redis", "over TCP"), ("rediss", "over TLS"), ("unix", "over a socket of this machine")):
        yield Store(
            scheme, f"a Redis or Valkey server {way}, shared by several programs", "livermore_redis.store:open_store"
        )
