"""A seeded market without end: liquid, thin and nearly dead products, made day by day."""

from __future__ import annotations

import random

from livermore_simulator.market import Market, Minute, Product

DAY = 86_400
NAMES = (  # noqa: SIM905
    "BTC ETH SOL XRP DOGE LTC LINK AVAX BCH ADA DOT UNI ATOM ETC XLM ALGO FIL ICP NEAR APT ARB OP SUI AAVE MKR "
    "CRV SNX COMP GRT ENS LRC BAT ZRX KNC STORJ SKL ANKR CHZ MANA SAND AXS FLOW IMX GALA RNDR FET OCEAN RLC NMR BAL"
).split()
# Where the best known ones begin, give or take a fifth: a reader expects a bitcoin to cost more than a dogecoin.
LEVELS = {"BTC": 60_000, "ETH": 3000, "SOL": 150, "XRP": 0.6, "DOGE": 0.15, "LTC": 80, "LINK": 15, "AVAX": 30}
LEVELS |= {"BCH": 400, "ADA": 0.5, "DOT": 6, "UNI": 8}
LARGEST = 1e11
# The share of minutes with a trade: liquid ones all, then thin ones, then nearly dead ones.
LIQUID, THIN, DEAD = 1.0, (0.7, 0.5, 0.3), (0.004, 0.0006)


class SyntheticMarket(Market):
    """`count` products with `days` of history before `start` (UNIX seconds), listed then; the future has no end."""

    def __init__(self, count: int = 12, *, start: float, seed: int = 1, days: int = 30) -> None:
        if not 1 <= count <= len(NAMES):
            raise ValueError(f"between 1 and {len(NAMES)} products, not {count}")
        products = []
        for name in NAMES[:count]:
            symbol = f"{name}-USD"
            products.append(Product(symbol, f"{seed}:{symbol}", aliases=(f"{symbol}C",)))
        super().__init__(products, seed)
        self._next_day = int(start // DAY - days) * DAY
        self._prices = {product.symbol: _first_price(product) for product in products}
        self._shares = {product.symbol: _share(rank, count) for rank, product in enumerate(products)}
        # So steep that no day's chance lets another one trade more than the first.
        self._turnovers = {product.symbol: LARGEST / (1 + rank) ** 2 for rank, product in enumerate(products)}
        self.extend(start)

    def extend(self, moment: float) -> None:
        """Make every day up to the end of the one that holds `moment`."""
        while self._next_day <= moment + 120:
            for product in self.products.values():
                self._make_day(product, self._next_day)
            self._next_day += DAY

    def _make_day(self, product: Product, day: int) -> None:
        chance = random.Random(f"{product.seed}:{day}")
        share, price = self._shares[product.symbol], self._prices[product.symbol]
        turnover = self._turnovers[product.symbol]
        digits = 2 if price > 10 else 4 if price > 0.1 else 6
        swing = 0.0004
        for time in range(day, day + DAY, 60):
            swing = min(0.004, max(0.0002, swing * chance.uniform(0.97, 1.031)))
            if share < 1.0 and chance.random() >= share:
                continue
            opening = round(price * (1.0 + chance.gauss(0.0, swing / 4)), digits)
            price = max(10.0**-digits, round(opening * (1.0 + chance.gauss(0.0, swing)), digits))
            high = round(max(opening, price) * (1.0 + abs(chance.gauss(0.0, swing / 2))), digits)
            low = max(10.0**-digits, round(min(opening, price) * (1.0 - abs(chance.gauss(0.0, swing / 2))), digits))
            units = 300 + int(chance.expovariate(1.0) * turnover / price)
            product.append(Minute(time, opening, max(high, opening, price), min(low, opening, price), price, units))
        self._prices[product.symbol] = price


def _first_price(product: Product) -> float:
    chance = random.Random(f"{product.seed}:price")
    level = LEVELS.get(product.symbol.removesuffix("-USD"))
    price = 10.0 ** chance.uniform(-1.0, 4.7) if level is None else level * chance.uniform(0.8, 1.2)
    return round(price, 2)


def _share(rank: int, count: int) -> float:
    """The last third of the products is thin, and of twelve or more the last two are nearly dead."""
    if count >= 12 and rank >= count - 2:
        return DEAD[rank - count]
    if rank >= count - count // 3:
        return THIN[rank % len(THIN)]
    return LIQUID
