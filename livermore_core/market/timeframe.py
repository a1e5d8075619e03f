"""Timeframe arithmetic: names, widths in seconds, and the grid of buckets (aligned to the UNIX epoch, UTC)."""

from __future__ import annotations

from datetime import UTC, datetime

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


def iso(moment: float) -> str:
    """A UNIX time in ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
