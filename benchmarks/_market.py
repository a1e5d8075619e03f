"""Makes a market whose history is as deep as any timeframe needs, at a small part of the trades of a real one."""

from __future__ import annotations

import random

from livermore_simulator.market import Market, Minute, Product
from livermore_simulator.synthetic import NAMES

DAY = 86_400
# Traded minutes lie so many seconds apart, back to so long ago: each timeframe from 1m to 1d has 300 traded candles.
GRAIN = ((14_400, 310 * DAY), (3600, 13 * DAY), (900, 4 * DAY), (300, 2 * DAY), (60, 6 * 3600))


def deep_market(count: int, start: float, ahead: int = 900, make: type[Product] = Product) -> Market:
    """`count` products that traded since 310 days before `start`, and go on for `ahead` seconds."""
    market = Market([make(f"{name}-USD", f"1:{name}") for name in NAMES[:count]], seed=1)
    for product in market.products.values():
        chance, price = random.Random(product.seed), 100.0
        for time in _times(int(start), ahead):
            opening, price = price, round(max(1.0, price * (1.0 + chance.gauss(0.0, 0.001))), 2)
            high, low = round(max(opening, price) + 0.05, 2), round(min(opening, price) - 0.05, 2)
            product.append(Minute(time, opening, high, low, price, 300 + int(chance.expovariate(1e-8))))
    return market


def _times(start: int, ahead: int) -> list[int]:
    found: set[int] = set()
    for step, back in GRAIN:
        found.update(range((start - back) // step * step, start, step))
    found.update(range(start // 60 * 60, start + ahead, 60))
    return sorted(found)
