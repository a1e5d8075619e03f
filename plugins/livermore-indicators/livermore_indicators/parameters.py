"""Checks of the parameters that the bundled indicators share: lengths in candles, and factors."""

from __future__ import annotations

LARGEST_FACTOR = 1_000


def check_lengths(**lengths: object) -> None:
    """Raises TypeError where one is no whole number, ValueError where it is below 1."""
    for name, length in lengths.items():
        if isinstance(length, bool) or not isinstance(length, int):
            raise TypeError(f"{name} must be a whole number of candles, was {length!r}")
        if length < 1:
            raise ValueError(f"{name} must be at least 1, was {length}")


def check_factor(name: str, factor: object) -> None:
    """Raises TypeError where it is no number, ValueError where it is not above 0 and at most 1000."""
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise TypeError(f"{name} must be a number, was {factor!r}")
    if not 0 < factor <= LARGEST_FACTOR:
        raise ValueError(f"{name} must be above 0 and at most {LARGEST_FACTOR}, was {factor}")
