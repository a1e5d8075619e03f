"""Something is out of order: said once when it begins, once a minute while it lasts, and when it is well again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

REMIND_EVERY = 60.0


class Trouble:
    """Reports `began` with what is given and the seconds so far, then `ended` with how long it was, in seconds.

    It has ended when it is well and has not been bad for `settles` seconds. Without `ended` that is not said.
    """

    def __init__(
        self, began: str, ended: str | None, say: Callable[[str, Mapping[str, Any]], None], settles: float = 0.0
    ) -> None:
        self._began, self._ended, self._say, self._settles = began, ended, say, settles
        # The loop's clock when it began; None while all is well.
        self.since: float | None = None
        self._reminded = self._last = 0.0

    def bad(self, **fields: Any) -> None:
        """It is out of order, still or anew."""
        now = asyncio.get_running_loop().time()
        self._last = now
        if self.since is None:
            self.since = now
        elif now < self._reminded + REMIND_EVERY:
            return
        self._reminded = now
        self._say(self._began, {**fields, "seconds": round(now - self.since, 1)})

    def well(self) -> None:
        """It works."""
        if self.since is None:
            return
        now = asyncio.get_running_loop().time()
        if now >= self._last + self._settles:
            seconds, self.since = now - self.since, None
            if self._ended is not None:
                self._say(self._ended, {"seconds": round(seconds, 1)})
