"""What odd prices do to an indicator: tiny and huge ones, and ones that stand still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from livermore_core.conformance.running import Make, NonconformingError, Results, run
from livermore_core.conformance.series import flat, scaled
from livermore_core.indicators.indicator import Value
from livermore_core.market.candle import Candle

FACTORS = (1e-8, 1e6)
POWERS = {0: "free of scale", 1: "in proportion to prices", 2: "to their square"}
# Of the largest value of an output: rounding is far below, an absolute threshold or rounded digits far above.
SCALE_TOLERANCE = 1e-6
# After so many equal candles rounding noise over a vanishing range has exploded, if nothing guards it.
FLAT = 1800
EXPLODED = 100.0


def scales(make: Make, rows: Sequence[Candle]) -> str:
    """With prices multiplied, every output is the same, or multiplied alike."""
    plain = run(make(), rows)
    others = {factor: run(make(), scaled(rows, factor)) for factor in FACTORS}
    found: dict[str, list[str]] = {}
    for at, name in enumerate(make().outputs):
        power = _power(plain, others, at)
        if power is None:
            raise NonconformingError(f"{name}: {_difference(plain, others, at)}")
        found.setdefault(POWERS[power], []).append(name)
    return "; ".join(f"{', '.join(names)}: {how}" for how, names in found.items())


def _power(plain: Sequence[Results], others: dict[float, list[Results]], at: int) -> int | None:
    """The power of the factor by which an output is multiplied, at every factor; None where there is none."""
    return next(
        (power for power in POWERS if all(_fits(plain, rows, at, each**power) for each, rows in others.items())), None
    )


def _fits(plain: Sequence[Results], other: Sequence[Results], at: int, multiplied: float) -> bool:
    largest = max((abs(value) for row in plain if _is_number(value := row[at])), default=0.0)
    return all(_near(one[at], another[at], multiplied, largest) for one, another in zip(plain, other, strict=True))


def _near(one: Value, other: Value, multiplied: float, largest: float) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(other - one * multiplied) <= SCALE_TOLERANCE * multiplied * largest
    return one == other


def _difference(plain: Sequence[Results], others: dict[float, list[Results]], at: int) -> str:
    """The first value that is not the same, at the first factor where one is not."""
    for factor, rows in others.items():
        for number, (one, other) in enumerate(zip(plain, rows, strict=True), start=1):
            if not (_near(one[at], other[at], 1.0, 1.0) or _near(one[at], other[at], factor, 1.0)):
                return (
                    f"neither the same nor multiplied alike when prices are multiplied by {factor:g}:"
                    f" candle {number} gives {other[at]!r}, was {one[at]!r}"
                )
    return "neither the same nor multiplied alike when prices are multiplied by " + " and ".join(
        map("{:g}".format, FACTORS)
    )


def stands_flat(make: Make, rows: Sequence[Candle]) -> str:
    """Equal candles, from the beginning and after `rows`, break nothing and blow nothing up; then it goes on."""
    run(make(), flat(rows[0], FLAT))
    made = make()
    before = run(made, rows)
    during = run(made, flat(rows[-1], FLAT), len(rows) + 1)
    for at, name in enumerate(made.outputs):
        largest = max((abs(value) for row in before if isinstance(value := row[at], float)), default=0.0)
        for number, row in enumerate(during, start=1):
            if isinstance(value := row[at], float) and abs(value) > EXPLODED * max(1.0, largest):
                raise NonconformingError(
                    f"{name} explodes: {value:.4g} after {number} equal candles, at most {largest:.4g} before"
                )
    return f"{FLAT} equal candles, from the beginning and after {len(rows)}"


def _is_number(value: Value) -> TypeGuard[float | int]:
    return isinstance(value, float | int)
