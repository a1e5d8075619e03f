"""Timeframe arithmetic: names, widths in seconds, and the grid of buckets (aligned to the UNIX epoch, UTC)."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from livermore_core.errors import ConfigurationError, near

WIDTHS: dict[str, int] = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "1d": 86400,
}

BASE = "1m"

# The year 5138: nobody asks for so late a candle, but milliseconds are taken for seconds.
BEYOND = 10**11


def iso(moment: float) -> str:
    """A UNIX time in ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(given: float | str | datetime) -> int:
    """A bound in UNIX seconds, rounded up: the same buckets lie on either side of it. Raises ValueError."""
    return ceil(seconds_of(given))


def seconds_of(given: float | str | datetime) -> float:
    """UNIX seconds of ISO 8601 text or a datetime (UTC where it does not say), or of a number. Raises ValueError."""
    try:
        seconds = _seconds(given)
    except (ValueError, OverflowError):
        seconds = BEYOND
    if not abs(seconds) < BEYOND:
        raise ValueError(f"{given!r} is no time; write e.g. 2024-01-03T12:00:00Z, or UNIX seconds")
    return seconds


def _seconds(given: float | str | datetime) -> float:
    if isinstance(given, str):
        given = int(given) if given.isdecimal() else datetime.fromisoformat(given)
    if isinstance(given, datetime):
        given = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    return given


def width(timeframe: str) -> int:
    """Seconds in a bucket of `timeframe`. Raises ConfigurationError for a name that is not in WIDTHS."""
    try:
        return WIDTHS[timeframe]
    except KeyError:
        raise ConfigurationError(
            f"unknown timeframe {timeframe!r}{near(timeframe, WIDTHS)}; known: {', '.join(WIDTHS)}"
        ) from None


def floor(moment: float, timeframe: str) -> int:
    """Open time of the bucket that holds `moment` (UNIX seconds): [t, t + width)."""
    step = WIDTHS[timeframe]
    return int(moment // step) * step


def ceiling(moment: float, timeframe: str) -> int:
    """Open time of the first bucket that starts at or after `moment`."""
    step = WIDTHS[timeframe]
    return -int(-moment // step) * step


def ladder(timeframes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each timeframe above the lowest with the one it is derived from: the widest lower one that divides it."""
    ordered = sorted(timeframes, key=width)
    pairs: list[tuple[str, str]] = []
    for position, higher in enumerate(ordered):
        parts = [low for low in ordered[:position] if WIDTHS[higher] % WIDTHS[low] == 0]
        if parts:
            pairs.append((higher, parts[-1]))
    return pairs
