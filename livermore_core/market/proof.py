"""What one REST answer proves: which rows are final, and of which buckets everything is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from livermore_core.market.candle import Candle
from livermore_core.market.intervals import Interval, Intervals

RECHECK_DELAY = 10
EMPTY_DELAY = 90


class Proof(msgspec.Struct, frozen=True):
    """The final rows of an answer, ascending, and the intervals that it proves."""

    rows: list[Candle]
    covered: list[Interval]


def prove(
    rows: Sequence[Candle],
    *,
    start: int,
    end: int,
    width: int,
    moment: float,
    rejected: Collection[int] = (),
    newest_held: int | None = None,
    page_size: int | None = None,
) -> Proof:
    """What an answer given at the exchange's `moment` proves about the buckets of [start, end).

    A row is final RECHECK_DELAY seconds after its bucket's end. An absent row means EMPTY if a later final row is in
    the same answer, or EMPTY_DELAY seconds have passed. An answer that is older than what we hold proves nothing.
    """
    final = sorted(
        (row for row in rows if start <= row.time < end and row.time + width + RECHECK_DELAY <= moment),
        key=lambda row: row.time,
    )
    newest = final[-1].time if final else None
    if newest_held is not None and newest_held < end and (newest is None or newest < newest_held):
        return Proof([], [])
    until = min(end, int((moment - EMPTY_DELAY) // width) * width)
    if newest is not None:
        until = max(until, newest + width)
    since = start
    if page_size is not None and final and len(rows) >= page_size and (end - start) // width > page_size:
        since, until = final[0].time, final[-1].time + width
    covered = Intervals([(since, until)])
    for bucket in rejected:
        covered.remove(bucket, bucket + width)
    known = set(rejected)
    return Proof([row for row in final if since <= row.time < until and row.time not in known], list(covered))
