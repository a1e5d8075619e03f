"""How many candles an indicator takes until it no longer matters where history began: measured beside the declared."""

from __future__ import annotations

from collections.abc import Sequence
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
    declared, horizon, worst = make().settle, len(rows) // 2, dict.fromkeys(TOLERANCES, 0)
    long, starts = run(make(), rows), _starts(len(rows))
    furthest = 0.0
    for done, start in enumerate(starts, start=1):
        distances = list(map(_distance, long[start : start + horizon], run(make(), rows[start : start + horizon])))
        worst = {each: max(reached, _reached(distances, each)) for each, reached in worst.items()}
        furthest = max(furthest, distances[-1])
        step(f"settle: start {done} of {len(starts)}")
    measured = ", ".join(f"{_short(each)}: {_told(reached, horizon)}" for each, reached in worst.items())
    told = f"declared {declared}; measured {measured} ({len(starts)} starts)"
    if worst[TOLERANCES[0]] > horizon:
        away = "undefined on one side" if furthest == inf else f"{furthest:.2g} off"
        raise NonconformingError(
            f"never settles: still {away} after {horizon} candles, as a sum without end is; {told}"
        )
    if worst[TOLERANCES[0]] > declared:
        raise NonconformingError(f"too short; {told}")
    return told


def _starts(count: int) -> range:
    """Late starts, evenly in the series, half of which each of them is fed."""
    wanted = min(MOST_STARTS, max(FEWEST_STARTS, MOST_UPDATES // max(1, count // 2)))
    first, last = count // 3, count - count // 2
    return range(first, last + 1, max(1, -(-(last - first) // wanted)))


def _distance(long: Results, late: Results) -> float:
    """Of the output that is furthest off; texts and counts follow from what is measured here."""
    return max(map(_apart, long, late), default=0.0)


def _apart(long: Value, late: Value) -> float:
    if isinstance(long, float) and isinstance(late, float):
        return abs(late - long) / max(1.0, abs(long))
    return inf if (long is None) is not (late is None) else 0.0


def _reached(distances: Sequence[float], tolerance: float) -> int:
    """Candles from which on the distance stays within; one more than there are where it does not."""
    return 1 + next((at for at in range(len(distances), 0, -1) if distances[at - 1] > tolerance), 0)


def _told(reached: int, horizon: int) -> str:
    return f"not within {horizon}" if reached > horizon else str(reached)


def _short(tolerance: float) -> str:
    return f"{tolerance:.0e}".replace("e-0", "e-")
