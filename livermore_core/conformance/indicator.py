"""The check of an indicator: every promise in turn, each with what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from livermore_core.conformance import prices, promises
from livermore_core.conformance.running import Make, Step, in_silence
from livermore_core.conformance.settling import settles
from livermore_core.errors import LivermoreError
from livermore_core.market.candle import Candle
from livermore_core.plugins import blamed

# Candles after the warm-up for checks that need no long history.
BEYOND_WARMUP = 200


class Finding(NamedTuple):
    """What a check found; `result` is ok or fail."""

    check: str
    result: str
    detail: str


def examine(make: Make, rows: Sequence[Candle], step: Step = in_silence) -> Iterator[Finding]:
    """Each finding as it is made. Without a sound declaration and sound results nothing further is asked.

    `rows` are at least `settling.fewest(settle)` and `warmup` + 10 candles.
    """
    first = _finding("declaration", lambda: promises.declaration(make))
    yield first
    if first.result == "fail":
        return
    second = _finding("results", lambda: promises.sound_results(make, rows, step))
    yield second
    if second.result == "ok":
        for name, check in _checks(make, rows, step).items():
            step(name)
            yield _finding(name, check)


def declared(make: Make) -> int:
    """The settle that it declares; 1 where it declares nothing that is sound, which `examine` then tells."""
    try:
        promises.declaration(make)
    except LivermoreError:
        return 1
    return make().settle


def _checks(make: Make, rows: Sequence[Candle], step: Step) -> Mapping[str, Callable[[], str]]:
    warmup = make().warmup
    short = rows[: warmup + BEYOND_WARMUP]
    splits = promises.cuts(warmup, len(short))
    return {
        "warm-up": lambda: promises.first_full_result(make, short),
        "look-ahead": lambda: promises.no_look_ahead(make, short),
        "replay": lambda: promises.replays(make, short, splits),
        "correction": lambda: promises.corrections(make, short, len(short) - 5),
        "copy": lambda: promises.copies(make, short, splits),
        "dump": lambda: promises.dumps(make, short, splits),
        "preview": lambda: promises.previews(make, short),
        "settle": lambda: settles(make, rows, step),
        "scale": lambda: prices.scales(make, short),
        "flat": lambda: prices.stands_flat(make, short),
        "few candles": lambda: promises.few_candles(make, rows[0]),
    }


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        with blamed("it raised"):
            return Finding(name, "ok", check())
    except LivermoreError as error:
        return Finding(name, "fail", str(error))
