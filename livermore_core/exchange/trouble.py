"""Something is out of order: said once when it begins, once a minute while it lasts, and once when it has ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

REMIND_EVERY = 60.0
HEALTHY = 60.0
# What is said when it begins, a warning, and what when it has ended.
PAIRS = {
    "exchange.unavailable": "exchange.available",
    "exchange.rate_limited": "exchange.at_pace",
    "exchange.refused": "exchange.accepted",
    "feed.lost": "feed.steady",
    "feed.partial": "feed.whole",
    "ws.muted": "ws.heard",
    "ws.lagging": "ws.caught_up",
    "symbol.halted": "symbol.trading",
    "store.error": "store.well",
    "store.lost": "store.refilled",
    "status.unwritten": "status.written",
    "service.failed": "service.restored",
    "mem.high": "mem.well",
    "ingest.absent": "ingest.present",
}
_CODE = re.compile(r"[a-z]+\.[a-z_.]+(?=[: ]|$)")


def reason_of(cause: object, otherwise: str) -> str:
    """The reason code that leads the text of an error (`net.timeout: no answer`), or else `otherwise`."""
    found = _CODE.match(str(cause))
    return found[0] if found else otherwise


class Trouble:
    """Says `event` with its reason code and the seconds so far, then what PAIRS has for it, with how long it was.

    It has ended once it was well for `settles` seconds, which are not counted. `about` names what is in trouble.
    """

    def __init__(
        self, event: str, say: Callable[[str, Mapping[str, Any]], None], *, settles: float = 0.0, **about: Any
    ) -> None:
        self._event, self._say, self._settles, self._about = event, say, settles, about
        # The loop's clock when it began, and the code; None and empty once it has ended.
        self.since: float | None = None
        self.reason = self.cause = ""
        self._reminded = self._well_at = 0.0
        self._times = self._unsaid = 0
        self._settling: asyncio.TimerHandle | None = None

    def bad(self, reason: str, cause: object = "", **fields: Any) -> None:
        """It is out of order, still or anew."""
        now = asyncio.get_running_loop().time()
        self._unsettle()
        self.reason, self.cause = reason, str(cause)
        if self.since is None:
            self.since, self._times, self._unsaid = now, 0, 0
        elif now < self._reminded + REMIND_EVERY:
            self._unsaid += 1
            return
        self._times += 1 + self._unsaid
        said = {"reason": reason} | ({"cause": self.cause} if self.cause else {}) | fields
        self._say(
            self._event, {**self._about, **said, "seconds": round(now - self.since, 1), "suppressed": self._unsaid}
        )
        self._reminded, self._unsaid = now, 0

    def well(self) -> None:
        """It works."""
        if self.since is None or self._settling is not None:
            return
        loop = asyncio.get_running_loop()
        self._well_at = loop.time()
        if self._settles:
            self._settling = loop.call_later(self._settles, self._end)
        else:
            self._end()

    def drop(self) -> None:
        """Nothing more is said of it: whatever it was about is gone."""
        self._unsettle()
        self.since, self.reason, self.cause = None, "", ""

    def row(self) -> dict[str, Any]:
        """What `status` says of it, while it lasts."""
        seconds = asyncio.get_running_loop().time() - (self.since or 0.0)
        said = {"event": self._event, "reason": self.reason, "cause": self.cause}
        return {**said, **self._about, "seconds": round(seconds, 1)}

    def _unsettle(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _end(self) -> None:
        seconds = round(self._well_at - (self.since or 0.0), 1)
        said = {**self._about, "reason": self.reason, "seconds": seconds, "times": self._times + self._unsaid}
        self.since, self.reason, self.cause, self._settling = None, "", "", None
        self._say(PAIRS[self._event], said)
