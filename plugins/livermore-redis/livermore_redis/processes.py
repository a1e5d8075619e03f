"""The status rows: one of each process that holds something, one of each that waits, and who holds what."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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

    async def tidy(self, roles: Sequence[str]) -> None:
        """This process waits no more; nor do those that died of it long ago, and who held these roles has lost them."""
        oldest, rows = time.time() - OLDEST_ROW, await self._rows()
        own = rows.pop(self._name, None)
        gone = [
            name
            for name, row in rows.items()
            if row.get("heartbeat_epoch", oldest) < oldest or set(row["holds"]) & set(roles)
        ]
        if gone:
            await self._drop(gone)
        if own is not None:
            await self.write(roles, own)

    async def leave(self) -> None:
        """This process waits no more."""
        await self._drop([self._name])

    async def _drop(self, names: Sequence[str]) -> None:
        key = self._layout.processes
        await self._ask(lambda: self._server.client.hdel(key, *names))

    async def read(self, owners: Sequence[bytes]) -> dict[str, Any] | None:
        """The row of whoever follows the exchanges, with those of the others as `processes`, and who holds what.

        Who holds is what the leases say: a process that was stopped and woken late may have written something else,
        and one that has just taken over nothing yet. Where nobody holds, the last word of those who did is kept.
        """
        shards = self._layout.shards
        of = {
            role: {owner for owner in owners[at : at + shards] if owner}
            for role, at in zip(ROLES, range(0, len(owners), shards), strict=True)
        }
        held = {role: {id_of(owner) for owner in each} for role, each in of.items()}
        rows = []
        for name, row in (await self._rows()).items():
            holds = [role for role in ROLES if name in held[role] or (role in row["holds"] and not held[role])]
            if holds or not row["holds"]:
                rows.append(row | {"holds": holds})
        rows.sort(key=lambda row: ("candles" in row["holds"], row.get("heartbeat_epoch", 0.0)), reverse=True)
        if not rows:
            return None
        holders = {role: sorted(map(described, each)) for role, each in of.items()}
        return rows[0] | {"holders": holders, "processes": rows[1:]}

    async def _rows(self) -> dict[str, dict[str, Any]]:
        found = await self._ask(lambda: self._server.client.hgetall(self._layout.processes))
        return {name.decode(): msgspec.json.decode(row, type=dict[str, Any]) for name, row in found.items()}
