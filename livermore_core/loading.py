"""What commands and readers load: plugins in any state, settings, and a store to read from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livermore_core.config import plugin_table

if TYPE_CHECKING:
    from livermore_core.config.settings import Settings
    from livermore_core.plugins import Plugins
    from livermore_core.store.protocol import CandleStore


@cache
def tolerant_plugins(file: Path | None = None) -> Plugins:
    """Every plugin that loads, whatever is broken or malformed: recovery commands always work."""
    from livermore_core.plugins import load

    table = plugin_table(file)
    return load(table.only, table.disable, tolerant=True)


def settings_of(file: Path | None = None, store: str | None = None, **flags: Any) -> tuple[Plugins, Settings]:
    """The validated settings. Raises ConfigurationError."""
    from livermore_core.config import load
    from livermore_core.ending import leave_no_core
    from livermore_core.masking import hide

    leave_no_core()  # from here on keys are in memory
    plugins = tolerant_plugins(file)
    overrides = flags.pop("overrides", {}) | ({"store": store} if store else {})
    settings = load(plugins, file=file, overrides=overrides, **flags)
    for secret in settings.secrets():
        hide(secret)
    return plugins, settings


def open_reader(url: str) -> AbstractAsyncContextManager[CandleStore]:
    """The store of a URL, opened to read beside whoever writes it. Raises StoreAbsentError where there is none."""
    # As from the environment: a program may have a password in its hands, unlike a command line.
    return reader(None, None, environ={**os.environ, "LIVERMORE_STORE": url})


@asynccontextmanager
async def reader(file: Path | None, store: str | None, **flags: Any) -> AsyncIterator[CandleStore]:
    """The store of the settings, opened to read beside a running process."""
    plugins, settings = settings_of(file, store, **flags)
    scheme = settings.store.partition("://")[0]
    opening = plugins.code("register_stores", scheme, plugins.stores[scheme].open)
    async with opening(settings.store, read_only=True) as opened:
        yield opened
