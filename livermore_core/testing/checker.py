"""Holds what a run did against the truth: every invariant by its id, pure, over evidence that was gathered before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from livermore_core.testing.announcement_checks import ANNOUNCEMENT_CHECKS
from livermore_core.testing.conduct_checks import CONDUCT_CHECKS
from livermore_core.testing.evidence import Evidence, Truth, settled
from livermore_core.testing.store_checks import STORE_CHECKS, true_candles
from livermore_core.testing.value_checks import VALUE_CHECKS
from livermore_core.testing.voice_checks import VOICE_CHECKS

CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    **STORE_CHECKS,
    **ANNOUNCEMENT_CHECKS,
    **VALUE_CHECKS,
    **CONDUCT_CHECKS,
    **VOICE_CHECKS,
}


class Violation(NamedTuple):
    """An invariant that does not hold, and where."""

    invariant: str
    what: str


def check(evidence: Evidence, truth: Truth) -> list[Violation]:
    """Every violation of every invariant, by id; an empty list is a clean run."""
    found = [Violation("S1", what) for what in true_candles(evidence, truth)]
    for invariant, holds in CHECKS.items():
        found += [Violation(invariant, what) for what in holds(evidence)]
    return found


def compared(evidence: Evidence, truth: Truth) -> int:
    """How many candles of the truth the store was held against."""
    return sum(len(truth(*series[1:], *settled(evidence, series))) for series in evidence.series)
