"""Whether the store stays sound: what a run meets of damage or loss, or finds when it looks, ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livermore_core.errors import LivermoreError, StoreCorruptError, StoreError, StoreLostError

# Seconds; 200 MB are read in 1.3. What is in memory is never read again, so that only a look can tell.
LOOK_EVERY = 600.0
MEND = "nothing more is written; the next start sets a damaged store aside and fetches its history anew"


class Soundness:
    """A service: `end` is called with the error once `store.broken` is set, or `store.check()` finds damage."""

    def __init__(self, store: Any, end: Callable[[LivermoreError], None]) -> None:
        self._store, self._end = store, end
        if getattr(store, "broken", None) is not None:
            store.broken.add_done_callback(lambda broken: self._damaged(broken.exception()))

    async def run(self, ready: Callable[[], None]) -> None:
        """Look now and then, where the store can be looked at."""
        ready()
        while hasattr(self._store, "check"):
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._store.check()
            except (StoreCorruptError, StoreLostError) as error:
                self._damaged(error)
            except StoreError:  # locked, for one: who writes is told
                continue

    def _damaged(self, error: BaseException) -> None:
        if isinstance(error, LivermoreError) and not isinstance(error, StoreCorruptError):
            self._end(error)
        else:
            self._end(StoreCorruptError(f"{error}; {MEND}"))
