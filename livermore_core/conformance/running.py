"""Feeding an indicator, and judging each of its results: what is wrong is told with the candle's number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from livermore_core.errors import ExitCode, LivermoreError
from livermore_core.indicators.indicator import Indicator, Value, plain
from livermore_core.market.candle import Candle
from livermore_core.plugins import blamed

Make = Callable[[], Indicator]
Results = tuple[Value, ...]
# Told what is done next.
Step = Callable[[str], None]


class NonconformingError(LivermoreError):
    """A promise is not kept; the text says which, and where."""

    exit_code = ExitCode.ANSWER_IS_NO


def in_silence(text: str) -> None:
    """A step that nobody is told of."""


def run(made: Indicator, rows: Sequence[Candle], first: int = 1) -> list[Results]:
    """The results of each candle, the first of which has the number `first`."""
    done: list[Results] = []
    try:
        with blamed("update"):
            for candle in rows:
                done.append(judged(made, made.update(candle)))
    except LivermoreError as error:
        raise NonconformingError(f"candle {first + len(done)}: {error}") from error
    return done


def preview(made: Indicator, candle: Candle, number: int) -> Results:
    """The results that `peek` gives for the candle of that number."""
    try:
        with blamed("peek"):
            return judged(made, made.peek(candle))
    except LivermoreError as error:
        raise NonconformingError(f"candle {number}: {error}") from error


def judged(made: Indicator, result: Results | Value) -> Results:
    """One value for each output. Raises NonconformingError where there are others, or one that cannot be told."""
    if result is None:
        return (None,) * len(made.outputs)
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(made.outputs):
        raise NonconformingError(f"{len(results)} results for {len(made.outputs)} outputs")
    for name, value in zip(made.outputs, results, strict=True):
        if isinstance(value, float) and not isfinite(value):
            raise NonconformingError(f"{name} is {value}; where there is no value, it is None")
        try:
            plain(name, value)
        except TypeError as error:
            raise NonconformingError(str(error)) from None
    return results


def expect_same(one: Sequence[object], other: Sequence[object], reason: str, first: int = 1) -> None:
    """Raises NonconformingError with the number of the first candle whose results differ."""
    for number, (mine, theirs) in enumerate(zip(one, other, strict=True), start=first):
        if mine != theirs:
            raise NonconformingError(f"candle {number}: {reason}")
