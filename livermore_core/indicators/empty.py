"""Buckets without trades: what stands for them where an indicator is to see them. Nothing of it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from livermore_core.market.candle import Candle

SKIP, CARRY = "skip", "carry"


class EmptyBucket(Candle, frozen=True, gc=False):
    """Stands for a bucket without trades: the close before it as all four prices, volume 0; `source` is the policy.

    `flat`: a candle like any other. `carry`: the close is known, a range is not, so that averages of ranges stay.
    """

    def __post_init__(self) -> None:
        """Made of a candle that was checked; the volume, which a candle must have, is what is missing."""


def filled(
    candles: Iterable[Candle], width: int, policy: str, last: tuple[int, float] | None, until: int
) -> Iterator[Candle]:
    """The candles of a range without a hole, and for every empty bucket of it what `policy` puts there.

    `last` is the time in UNIX seconds and the close of what came before (None: buckets before the first candle do not
    exist), `until` the end of what is known; `width` is in seconds.
    """
    if policy == SKIP:
        yield from candles
        return
    for candle in candles:
        if last is not None:
            yield from _between(last, candle.time, width, policy)
        yield candle
        last = candle.time, candle.close
    if last is not None:
        yield from _between(last, until, width, policy)


def _between(last: tuple[int, float], until: int, width: int, policy: str) -> Iterator[Candle]:
    time, close = last
    for bucket in range(time + width, until, width):
        yield EmptyBucket(bucket, close, close, close, close, 0.0, source=policy)
