"""A market as the simulator knows it: products, the candle of every minute, the trades inside."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from livermore_simulator.trades import Print, count_of, trades_of

MINUTE = 60
FIRST_ID = 100_000


class Minute(NamedTuple):
    """The candle of one minute; `units` is the volume in hundred-millionths."""

    time: int
    open: float
    high: float
    low: float
    close: float
    units: int


@dataclass(slots=True)
class Product:
    """One product; `times`, `minutes` and `ids` (id of the minute's first trade) run side by side."""

    symbol: str
    seed: str
    aliases: tuple[str, ...] = ()
    status: str = "online"
    times: list[int] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    ids: list[int] = field(default_factory=lambda: [FIRST_ID])

    def append(self, minute: Minute) -> None:
        """Add the next traded minute."""
        self.times.append(minute.time)
        self.minutes.append(minute)
        self.ids.append(self.ids[-1] + count_of(self.seed, minute))

    def trades(self, position: int) -> list[Print]:
        """The trades of the minute at `position`, ascending."""
        return trades_of(self.seed, self.minutes[position], self.ids[position])

    def between(self, start: float, end: float) -> list[Print]:
        """The trades with start <= time < end."""
        first = bisect_right(self.times, int(start // MINUTE) * MINUTE - 1)
        last = bisect_left(self.times, end)
        return [
            trade
            for position in range(first, last)
            for trade in self.trades(position)
            if start <= trade.micros / 1e6 < end
        ]

    def newest(self, moment: float, count: int) -> list[Print]:
        """The last `count` trades before `moment`, ascending."""
        found: list[Print] = []
        position = bisect_right(self.times, moment) - 1
        while position >= 0 and len(found) < count:
            found = [trade for trade in self.trades(position) if trade.micros / 1e6 < moment] + found
            position -= 1
        return found[-count:]


class Market:
    """Products by symbol. `extend(moment)` makes sure that everything up to `moment` is there."""

    def __init__(self, products: list[Product], seed: int) -> None:
        self.seed = seed
        self.products = {product.symbol: product for product in products}
        self.aliases = {alias: product.symbol for product in products for alias in product.aliases}

    def find(self, name: str) -> Product | None:
        """The product of a symbol or an alias."""
        return self.products.get(self.aliases.get(name, name))

    def extend(self, moment: float) -> None:
        """Everything is there already, unless a market says otherwise."""

    @property
    def span(self) -> tuple[int, int]:
        """From the first to the end of the last minute that is known."""
        known = [product for product in self.products.values() if product.times]
        return min(each.times[0] for each in known), max(each.times[-1] for each in known) + MINUTE
