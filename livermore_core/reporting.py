"""What a run says: every event goes to the log and to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livermore_core import log
from livermore_core.exchange.trouble import PAIRS
from livermore_core.plugins import Plugin
from livermore_core.services import Report

MEND = "look with `livermore doctor`; `livermore demo` needs no network"
RESERVED = frozenset({"event", "level", "timestamp"})
# What has no end that could be said; a script that reads the log knows events by name, not by level.
# fmt: off
FINAL = (
    "failed", "given_up", "unstoppable", "slow", "broken", "unknown", "rebuilt", "unclosed", "overdue", "note",
    "lag", "stepped", "resumed", "safe_mode", "lost", "store.warning",
)
# fmt: on


def is_alarm(event: str) -> bool:
    """Whether an event is a warning: something begins to be out of order, or is so for good."""
    return event in PAIRS or event.endswith(FINAL)


class Reporter:
    """Call it with an event and its fields. `outages` holds the exchanges that cannot be reached, with the cause."""

    def __init__(self, view: Report | None, moved: Callable[[], None]) -> None:
        self.outages: dict[str, str] = {}
        self._view, self._moved, self._log = view, moved, log.get()

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        """Tell the log and the view."""
        fields = dict(fields)
        if event == "exchange.unavailable":
            fields["mend"] = MEND
            self.outages[str(fields.get("exchange"))] = str(fields.get("cause"))
        elif event == "exchange.available":
            self.outages.pop(str(fields.get("exchange")), None)
        elif event == "backfill.progress":
            self._moved()
        write = self._log.warning if is_alarm(event) else self._log.info
        write(event, **{f"{key}_" if key in RESERVED else key: value for key, value in fields.items()})
        if self._view is not None:
            self._view(event, fields)

    def broken(self, plugin: Plugin) -> None:
        """Name a plugin that did not load, and why."""
        said = {"plugin": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
        self("plugin.broken", {**said, "cause": plugin.cause})
