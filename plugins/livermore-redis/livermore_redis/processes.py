"""The status rows: one of each process that holds something, one of each that waits, and who holds what."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from livermore_redis.connection import Server
from livermore_redis.layout import ROLES, Layout
from livermore_redis.lease import described, id_of
from livermore_redis.log import Ask

# A row that nobody has touched for so many seconds is of a process long gone.
OLDEST_ROW = 86_400.0


class Processes:
    """The rows below one key, by what their processes hold; `owner` is the signature of this one."""

    def __init__(self, server: Server, layout: Layout, owner: str, ask: Ask) -> None:
        self._server, self._layout, self._ask = server, layout, ask
        self._name = id_of(owner)

    async def write(self, roles: Sequence[str], status: Mapping[str, Any]) -> None:
        """Replace the row of this process."""
        row, key = msgspec.json.encode(dict(status) | {"holds": list(roles)}), self._layout.processes
        await self._ask(lambda: self._server.client.hset(key, self._name, row))

    async def tidy(self, roles: Collection[str]) -> None:
        """This process waits no more; nor do those that died of it long ago, and who held these roles has lost them."""
        oldest = time.time() - OLDEST_ROW
        gone = [
            name
            for name, row in (await self._rows()).items()
            if row.get("heartbeat_epoch", oldest) < oldest or set(row["holds"]) & set(roles)
        ]
        await self._drop([*gone, self._name])

    async def leave(self) -> None:
        """This process waits no more."""
        await self._drop([self._name])

    async def _drop(self, names: Sequence[str]) -> None:
        key = self._layout.processes
        await self._ask(lambda: self._server.client.hdel(key, *names))

    async def read(self, owners: Sequence[bytes]) -> dict[str, Any] | None:
        """The row of whoever follows the exchanges, with those of the others as `processes`, and who holds what.

        Who holds is what the leases say: a process that was stopped and woken late may have written something else.
        Where nobody does, the last word of those who did is kept.
        """
        shards = self._layout.shards
        of = {
            role: {owner for owner in owners[at : at + shards] if owner}
            for role, at in zip(ROLES, range(0, len(owners), shards), strict=True)
        }
        held = {role: {id_of(owner) for owner in each} for role, each in of.items()}
        rows = [
            row | {"holds": [role for role in row["holds"] if name in held[role] or not held[role]]}
            for name, row in (await self._rows()).items()
            if not row["holds"] or any(name in held[role] or not held[role] for role in row["holds"])
        ]
        rows.sort(key=lambda row: ("candles" in row["holds"], row.get("heartbeat_epoch", 0.0)), reverse=True)
        if not rows:
            return None
        holders = {role: sorted(map(described, each)) for role, each in of.items()}
        return rows[0] | {"holders": holders, "processes": rows[1:]}

    async def _rows(self) -> dict[str, dict[str, Any]]:
        found = await self._ask(lambda: self._server.client.hgetall(self._layout.processes))
        return {name.decode(): msgspec.json.decode(row, type=dict[str, Any]) for name, row in found.items()}
