"""Remembers, beside the store, starts that came to no end; after some the next does without plugins of others.

A process that is killed, or kills itself, cannot say so: what is left of it is that its start was never crossed out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from livermore_core.errors import ExitCode, LivermoreError
from livermore_core.plugins import Plugins
from livermore_core.store.sqlite_file import path_of

CRASHES = 5
WITHIN = 600.0
BUNDLED = frozenset(
    {"livermore", *(f"livermore-{name}" for name in ("coinbase", "indicators", "redis", "simulator", "talib"))}
)


@contextmanager
def remembered(store: str) -> Iterator[int]:
    """A start on the store of that URL, crossed out at a clean end; gives how many crashes there were of late.

    An end with 70 is none: a plugin may have brought the run down.
    """
    if not store.startswith("sqlite:"):
        yield 0
        return
    path = path_of(store)
    path = path.with_name(f"{path.name}.starts")
    now = time.time()
    crashes = [start for start in _read(path) if now - WITHIN < start <= now]
    _write(path, [*crashes, now])
    try:
        yield len(crashes)
    except LivermoreError as error:
        if error.exit_code != ExitCode.INTERNAL:
            _write(path, crashes)
        raise
    _write(path, crashes)


def leave_out(plugins: Plugins, required: frozenset[str]) -> dict[str, str]:
    """Leave out the plugins that are neither required nor our own; gives each with the cause."""
    cause = f"safe_mode: left out after {CRASHES} crashes within {WITHIN / 60:g} minutes"
    chosen = [
        plugin
        for plugin in plugins.found
        if plugin.state == "ok" and plugin.distribution not in BUNDLED and plugin.name not in required
    ]
    for plugin in chosen:
        plugins.leave_out(plugin, cause)
    return {plugin.name: cause for plugin in chosen}


def _read(path: Path) -> list[float]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return [each for each in found if isinstance(each, float)] if isinstance(found, list) else []
    return []


def _write(path: Path, starts: list[float]) -> None:
    with suppress(OSError):  # whoever opens the store there says what is wrong
        if starts:
            path.touch(mode=0o600)
            path.write_text(json.dumps(starts))
        else:
            path.unlink()
