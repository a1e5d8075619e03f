"""Opening the store and the exchanges: each within a limit, closed in the same task, and a failure says whose it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any

from livermore_core.config.settings import Settings
from livermore_core.errors import UnavailableError
from livermore_core.plugins import Plugins, blamed
from livermore_core.services import GRACE, Report

OPEN_WITHIN = 30.0


async def open_store(stack: AsyncExitStack, plugins: Plugins, settings: Settings, report: Report) -> Any:
    """The store of the settings, by the scheme of its URL; `stack` closes it. Raises LivermoreError."""
    scheme = settings.store.partition("://")[0]

    def make() -> Any:
        open_it = plugins.code("register_stores", scheme, plugins.stores[scheme].open)
        # Only a store that knows the word is asked to stop; any other refuses it.
        asked = {"on_corrupt": settings.on_corrupt} if settings.on_corrupt != "rebuild" else {}
        return open_it(settings.store, read_only=False, **asked)

    return await _opened(stack, f"store {scheme!r} ({plugins.owner('register_stores', scheme).source})", make, report)


async def open_writer(stack: AsyncExitStack, plugins: Plugins, settings: Settings, report: Report) -> Any:
    """The store, of which this process is the one writer at once. Raises StoreHeldError where another is."""
    store = await open_store(stack, plugins, settings, report)
    if hasattr(store, "claim"):
        await store.claim(wait=False)
    return store


async def open_exchange(stack: AsyncExitStack, plugins: Plugins, settings: Settings, name: str, report: Report) -> Any:
    """The client of an exchange; `stack` closes it. Raises LivermoreError."""

    def make() -> Any:
        open_it = plugins.code("register_exchanges", name, plugins.exchanges[name].open)
        return open_it(settings.exchanges[name])

    owner = plugins.owner("register_exchanges", name)
    return await _opened(stack, f"exchange {name!r} ({owner.source})", make, report)


async def _opened(stack: AsyncExitStack, what: str, make: Callable[[], Any], report: Report) -> Any:
    with blamed(f"{what} does not open"):
        return await stack.enter_async_context(_Patient(make(), what, report))


class _Patient:
    """Opens a resource and closes it, each within a limit; one that does not close is named."""

    def __init__(self, manager: AbstractAsyncContextManager[Any], what: str, report: Report) -> None:
        self._manager, self._what, self._report = manager, what, report

    async def __aenter__(self) -> Any:
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                return await self._manager.__aenter__()
        except TimeoutError:
            raise UnavailableError(f"{self._what} did not open within {OPEN_WITHIN:g} s") from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(GRACE):
                await self._manager.__aexit__(None, None, None)
        except TimeoutError:
            self._report("resource.unclosed", {"resource": self._what})
