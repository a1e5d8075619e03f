"""What `livermore doctor` says of the store: whether it can be read or made, who writes it, and what its run says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from livermore_core.cli.diagnosis import Row, failing, row
from livermore_core.plugins import Plugins
from livermore_core.status import NOT_RUNNING, STUCK, state_of
from livermore_core.store.lock import holder
from livermore_core.store.sqlite_file import has_room, path_of


async def store_health(plugins: Plugins, url: str) -> list[Row]:
    """Rows of the area `store`; nothing is made or changed."""
    rows: list[Row] = []
    scheme = url.partition("://")[0]
    if scheme not in plugins.stores:  # a problem of the configuration, and told there
        return rows
    how, is_held = {}, None
    with failing(rows, "store", "contents"):
        if scheme == "sqlite":
            path, how = path_of(url), {"glance": True}
            # A start that was cut short leaves an empty file.
            if not path.is_file() or not path.stat().st_size:
                return [_absent(path)]
            held = holder(path)
            is_held = held is not None
            rows.append(_process(held))
        opening = plugins.code("register_stores", scheme, plugins.stores[scheme].open)
        async with opening(url, read_only=True, **how) as opened:
            if hasattr(opened, "check"):
                await opened.check()
            rows.append(row("store", "contents", "ok", f"{len(await opened.series())} series"))
            rows.append(_status(await opened.read_status(), is_held))
            if hasattr(opened, "advice"):
                rows += [_advised(*each) for each in await opened.advice()]
    return rows


def _advised(state: str, text: str) -> Row:
    found, _, mend = text.partition("; ")
    return row("store", "server", state, found, mend)


def _absent(path: Path) -> Row:
    if (path.exists() and not path.is_file()) or not has_room(path):
        return row("store", "contents", "fail", f"{path} cannot be made", "choose another place with --store")
    return row("store", "contents", "ok", f"{path} is not there yet; the first `livermore start` makes it")


def _process(held: dict[str, Any] | None) -> Row:
    if held is None:
        return row("store", "process", "ok", "none writes it now")
    pid, host, since = (held.get(key, "unknown") for key in ("pid", "host", "since"))
    return row("store", "process", "ok", f"pid {pid} on {host} writes it since {since}")


def _status(said: dict[str, Any] | None, is_held: bool | None) -> Row:
    """What the last run said of itself; that it lives is not believed where it holds no lock (None: who knows)."""
    state = state_of(said)
    if said is None:
        return row("store", "status", "ok", "no run has written one")
    if state == STUCK or (is_held is False and state != NOT_RUNNING):
        mend = "see what its log says: a full disk keeps it from writing this; without a process, `livermore start`"
        said_last = f"stuck, killed, or unable to write; {said['state']} at {said['heartbeat']}"
        return row("store", "status", "warn", said_last, mend)
    if state == "DEGRADED":
        return row("store", "status", "warn", f"{state} at {said['heartbeat']}", "`livermore status` says why")
    return row("store", "status", "ok", f"{said['state']} at {said['heartbeat']}")
