"""The trades inside a minute, made so that they rebuild exactly its candle, volume included."""

from __future__ import annotations

import random
from decimal import Decimal
from math import log
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from livermore_simulator.market import Minute

MOST = 300
MEAN = 25.0
MICROS = 60_000_000


class Print(NamedTuple):
    """One trade: `micros` is its time in UNIX microseconds, `units` its size in hundred-millionths."""

    id: int
    micros: int
    price: float
    units: int
    side: str


def count_of(seed: str, minute: Minute) -> int:
    """How many trades the minute has, 2 to 300, cheaply: as many as its candle needs, and its volume allows."""
    chance = (crc32(f"{seed}:{minute.time}".encode()) + 1) / 2**32
    ends = (minute.open, minute.close)
    least = 2 + (minute.high not in ends) + (minute.low not in ends)
    return max(1, min(minute.units, MOST, max(least, 2 + int(-log(chance) * MEAN))))


def trades_of(seed: str, minute: Minute, first_id: int) -> list[Print]:
    """The trades of the minute, ascending by id and time."""
    chance = random.Random(f"{seed}:{minute.time}")
    count = count_of(seed, minute)
    prices = _prices(chance, minute, count)
    sizes = _sizes(chance, minute.units, count)
    times = _times(chance, minute.time * 1_000_000, count)
    return [
        Print(first_id + position, times[position], prices[position], sizes[position], chance.choice(("BUY", "SELL")))
        for position in range(count)
    ]


def _prices(chance: random.Random, minute: Minute, count: int) -> list[float]:
    if count == 1:
        return [minute.open]
    decimals = max(-_exponent(price) for price in minute[1:5])
    inner = [round(chance.uniform(minute.low, minute.high), decimals) for _ in range(count - 2)]
    inner = [min(minute.high, max(minute.low, price)) for price in inner]
    must = [price for price in (minute.high, minute.low) if price not in (minute.open, minute.close)]
    for position, price in zip(chance.sample(range(len(inner)), len(must)), must, strict=True):
        inner[position] = price
    return [minute.open, *inner, minute.close]


def _exponent(price: float) -> int:
    exponent = Decimal(repr(price)).as_tuple().exponent
    return min(0, int(exponent))


def _sizes(chance: random.Random, units: int, count: int) -> list[int]:
    weights = [chance.expovariate(1.0) for _ in range(count)]
    spare, whole = units - count, sum(weights)
    sizes = [1 + int(spare * weight / whole) for weight in weights]
    sizes[chance.randrange(count)] += units - sum(sizes)
    if min(sizes) < 1:  # rounding took more than there was
        sizes = [1] * (count - 1) + [units - count + 1]
    return sizes


def _times(chance: random.Random, start: int, count: int) -> list[int]:
    """Sorted; some equal, some on the minute's very first or last microsecond."""
    offsets = sorted(chance.randrange(MICROS) for _ in range(count))
    for position in range(1, count):
        if chance.random() < 0.3:
            offsets[position] = offsets[position - 1]
    if chance.random() < 0.2:
        offsets[0] = 0
    if chance.random() < 0.2:
        offsets[-1] = MICROS - 1
    return [start + offset for offset in offsets]
