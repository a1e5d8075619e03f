"""How many candles an indicator takes until it no longer matters where history began: measured beside the declared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from livermore_core.conformance.running import Make, NonconformingError, Results, Step, in_silence, run
from livermore_core.indicators.indicator import Value
from livermore_core.market.candle import Candle

# Relative to the value, or to 1 where it is smaller; the declared settle must reach the first.
TOLERANCES = (1e-2, 1e-4, 1e-6)
# Candles at least of the series that `livermore check` makes, a quarter of them.
SHORTEST = 400
MOST_STARTS, FEWEST_STARTS, MOST_UPDATES = 100, 10, 40_000


def length(settle: int) -> int:
    """Candles of a series on which a declared settle is measured well."""
    return 4 * max(settle, SHORTEST)


def fewest(settle: int) -> int:
    """Candles without which it cannot be measured."""
    return 3 * settle + 50


def settles(make: Make, rows: Sequence[Candle], step: Step = in_silence) -> str:
    """The declared settle brings any late start within the first tolerance of the long run."""
    made, horizon, worst = make(), len(rows) // 2, dict.fromkeys(TOLERANCES, 0)
    declared, counted = made.settle, _changes if made.cumulative else list
    long, starts = counted(run(made, rows)), _starts(len(rows))
    columns, furthest = _measured(long), 0.0
    for done, start in enumerate(starts, start=1):
        late = counted(run(make(), rows[start : start + horizon]))
        distances = [_distance(one, other, columns) for one, other in zip(long[start:], late, strict=False)]
        worst = {each: max(reached, _reached(distances, each)) for each, reached in worst.items()}
        furthest = max(furthest, distances[-1])
        step(f"settle: start {done} of {len(starts)}")
    measured = ", ".join(f"{_short(each)}: {_told(reached, horizon)}" for each, reached in worst.items())
    of_what = " of its changes" if made.cumulative else ""
    told = f"declared {declared}{of_what}; measured {measured} ({len(starts)} starts)"
    if worst[TOLERANCES[0]] > horizon:
        away = "different" if furthest == inf else f"{furthest:.2g} off"
        raise NonconformingError(
            f"never settles within {horizon} candles: still {away}; a sum without end says `cumulative`; {told}"
        )
    if worst[TOLERANCES[0]] > declared:
        raise NonconformingError(f"too short; {told}")
    return told


def _changes(results: Sequence[Results]) -> list[Results]:
    """From candle to candle; the first is one from nothing."""
    nothing = (None,) * len(results[0])
    return [tuple(map(_change, before, after)) for before, after in pairwise([nothing, *results])]


def _change(before: Value, after: Value) -> Value:
    is_number = isinstance(before, float | int) and isinstance(after, float | int)
    return after - before if is_number else None  # type: ignore[operator]


def _starts(count: int) -> range:
    """Late starts, evenly in the series, half of which each of them is fed."""
    wanted = min(MOST_STARTS, max(FEWEST_STARTS, MOST_UPDATES // max(1, count // 2)))
    first, last = count // 3, count - count // 2
    return range(first, last + 1, max(1, -(-(last - first) // wanted)))


def _measured(long: Sequence[Results]) -> list[int]:
    """The outputs that are fractions; counts and texts only where there are no others: they follow from what is."""
    everything = range(len(long[0]))
    return [at for at in everything if any(isinstance(row[at], float) for row in long)] or list(everything)


def _distance(long: Results, late: Results, columns: Sequence[int]) -> float:
    """Of the output that is furthest off."""
    return max(_apart(long[at], late[at]) for at in columns)


def _apart(long: Value, late: Value) -> float:
    if isinstance(long, float | int) and isinstance(late, float | int):
        return abs(late - long) / max(1.0, abs(long))
    return 0.0 if long == late else inf


def _reached(distances: Sequence[float], tolerance: float) -> int:
    """Candles from which on the distance stays within; one more than there are where it does not."""
    return 1 + next((at for at in range(len(distances), 0, -1) if distances[at - 1] > tolerance), 0)


def _told(reached: int, horizon: int) -> str:
    return f"not within {horizon}" if reached > horizon else str(reached)


def _short(tolerance: float) -> str:
    return f"{tolerance:.0e}".replace("e-0", "e-")
