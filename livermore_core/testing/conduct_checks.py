"""What must hold of the conduct of a run towards the exchange: its pace, its connections, and how much it says."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from livermore_core.testing.evidence import Evidence

CONNECTIONS_PER_HOUR = 150
LINES_PER_MINUTE = 60


def _rate(evidence: Evidence) -> Iterator[str]:
    """No second sees more requests than the rate, and none comes before the exchange asked for it."""
    asked = sorted(evidence.asked)
    for position, moment in enumerate(asked):
        within = bisect_right(asked, moment + 1.0 - 1e-9) - position
        if within > evidence.rate + 1:
            yield f"{within} requests in the second from {moment:.3f}"
    for refused, after in evidence.refusals:
        early = [moment for moment in asked if refused < moment < refused + after - 1e-6]
        # What was in flight when the refusal came is no answer to it.
        if len(early) > 1:
            yield f"{len(early)} requests within {after:.1f} s of a refusal at {refused:.3f}"


def _no_storm(evidence: Evidence) -> Iterator[str]:
    moments = sorted(evidence.connected_at)
    for position, moment in enumerate(moments):
        within = bisect_right(moments, moment + 3600.0) - position
        if within > CONNECTIONS_PER_HOUR:
            yield f"{within} connections in the hour from {moment:.0f}"
            return


def _one_connection(evidence: Evidence) -> Iterator[str]:
    if evidence.most_open > 1:
        yield f"{evidence.most_open} feeds were open at once"


def _few_lines(evidence: Evidence) -> Iterator[str]:
    lines = Counter((event, int(moment // 60)) for moment, event, _ in evidence.said if event not in _PER_CANDLE)
    for (event, _), count in lines.items():
        if count > LINES_PER_MINUTE:
            yield f"{count} lines of {event} in one minute"


def _plain(evidence: Evidence) -> Iterator[str]:
    """Each report is a line of JSON as it is."""
    for moment, event, fields in evidence.said:
        try:
            json.dumps(dict(fields), allow_nan=False)
        except (TypeError, ValueError) as error:
            yield f"{event} at {moment:.1f}: {error}"


# Progress is paced by itself, and a gap is said once for each series that has it.
_PER_CANDLE = frozenset({"backfill.progress", "gap.opened", "gap.healed"})


CONDUCT_CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "X1": _rate,
    "X2": _no_storm,
    "X4": _one_connection,
    "L2": _plain,
    "L3": _few_lines,
}
