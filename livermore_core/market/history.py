"""History that somebody else recorded: what of it a ledger does not know yet, and how the rest differs. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import msgspec

from livermore_core.market.candle import Candle, same
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.ledger import Change, Ledger

# Per bucket its candle, or None where nothing traded.
History = Mapping[int, Candle | None]


class Unlike(msgspec.Struct, frozen=True):
    """A bucket that is known, and of which the history says something else; None: nothing traded."""

    time: int
    known: Candle | None
    said: Candle | None


class Addition(msgspec.Struct, frozen=True):
    """What a history adds: candles, and `empty` buckets. `already` known and the same are so many."""

    change: Change
    empty: int
    already: int
    unlike: list[Unlike]


def add(
    ledger: Ledger, present: Mapping[int, Candle], history: History, *, is_complete: bool, moment: float
) -> Addition:
    """Take in what `history` says of buckets that are unknown; `present` is what the ledger's store holds there.

    A file does not prove that nothing traded in a bucket that it leaves out; it is taken at its word if `is_complete`.
    """
    known = ledger.coverage.copy()
    for time in present:
        known.add(time, time + ledger.width)
    change, times, buckets = Change(ledger, moment), sorted(history), 0
    for start, end in _claimed(times, ledger.width, is_complete):
        for low, high in known.missing(start, end):
            told = [history[time] for time in times[bisect_left(times, low) : bisect_left(times, high)]]
            buckets += (high - low) // ledger.width
            change.learn([(low, high)], [row for row in told if row is not None], [], live=False)
    already, unlike = 0, []
    for time in sorted({*times, *(present if is_complete else ())}):
        if known.covers(time, time + ledger.width):
            ours, theirs = present.get(time), history.get(time)
            if ours is theirs or (ours is not None and theirs is not None and same(ours, theirs)):
                already += 1
            else:
                unlike.append(Unlike(time, ours, theirs))
    return Addition(change, buckets - len(change.rows), already, unlike)


def _claimed(times: list[int], width: int, is_complete: bool) -> Iterator[Interval]:
    """Of what the history speaks."""
    if is_complete:
        yield times[0], times[-1] + width
    else:
        yield from Intervals((time, time + width) for time in times)
