"""Candles to check with: a seeded market with sparse, flat and fast stretches, and what is made of given candles."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from livermore_core.market.candle import Candle

BEGIN = 1_704_067_200
MINUTE = 60
# A year of whole weeks: sessions of a day or a week stay where they are.
YEAR = 52 * 7 * 86_400
# Of how many stretches each kind is one; longer flat ones are a check of their own.
KINDS = ("usual",) * 7 + ("sparse", "flat", "fast")
LONGEST_STRETCH, LONGEST_FLAT, LONGEST_HOLE = 60, 8, 30
SPREAD, FAST = 0.004, 0.008


def market(count: int, seed: int = 1) -> list[Candle]:
    """A random walk of 1m candles around 100: most of it usual, some with holes, some flat, some fast."""
    chance = random.Random(seed)
    rows: list[Candle] = []
    while len(rows) < count:
        kind = chance.choice(KINDS)
        length = chance.randrange(2, LONGEST_FLAT if kind == "flat" else LONGEST_STRETCH)
        rows += _stretch(chance, kind, length, rows[-1] if rows else None)
    return rows[:count]


def _stretch(chance: random.Random, kind: str, length: int, before: Candle | None) -> Iterable[Candle]:
    time, price = (before.time, before.close) if before else (BEGIN - MINUTE, 100.0)
    for _ in range(length):
        time += MINUTE * (chance.randrange(2, LONGEST_HOLE) if kind == "sparse" and chance.random() < 0.6 else 1)
        opening = price
        spread = {"flat": 0.0, "fast": FAST}.get(kind, SPREAD)
        # Drawn back to 100, so that a long one does not run away.
        price *= 1 + chance.gauss(0.0, spread) - spread * 0.02 * (price / 100.0 - 1.0)
        high = max(opening, price) * (1 + abs(chance.gauss(0.0, spread / 4)))
        low = min(opening, price) * (1 - abs(chance.gauss(0.0, spread / 4)))
        yield Candle(time, opening, high, low, price, chance.uniform(0.1, 20.0))


def flat(after: Candle, count: int) -> list[Candle]:
    """Equal candles, one a minute, at the close of the one they come after."""
    price = after.close
    return [Candle(after.time + MINUTE * (1 + at), price, price, price, price, 1.0) for at in range(count)]


def scaled(rows: Sequence[Candle], factor: float) -> list[Candle]:
    """The same candles with prices multiplied."""
    return [Candle(r.time, r.open * factor, r.high * factor, r.low * factor, r.close * factor, r.volume) for r in rows]


def later(rows: Sequence[Candle], seconds: int) -> list[Candle]:
    """The same candles so many seconds later."""
    return [replace(row, time=row.time + seconds) for row in rows]


def corrected(row: Candle) -> Candle:
    """Another candle of the same bucket: the close is the high, which is higher, and the volume has doubled."""
    high = row.high * 1.01
    return Candle(row.time, row.open, high, row.low, high, row.volume * 2)
