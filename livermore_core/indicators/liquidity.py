"""How much of a market a value speaks of: how old it is, and how thinly its series is traded."""

from __future__ import annotations

# Buckets back over which a series is judged.
WINDOW = 100


def age(time: int, known_until: int, width: int) -> int:
    """Buckets that have closed since the one at `time` did; all in UNIX seconds, `width` of the timeframe."""
    return max(0, (known_until - time) // width - 1)


def tier(traded: int, buckets: int) -> str:
    """`high` where less than a fifth of the buckets had no trade, `medium` less than half, else `low`."""
    empty = buckets - traded
    if 5 * empty < buckets:
        return "high"
    return "medium" if 2 * empty < buckets else "low"
