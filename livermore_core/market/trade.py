"""A trade as an exchange printed it."""

from __future__ import annotations

from math import inf

import msgspec


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade. `time` is the exchange's stamp in UNIX seconds, `size` is in the base currency.

    `id` rises by one per trade of a symbol where the exchange numbers densely; that is what proves a bucket.
    Raises ValueError unless id >= 0 and price and size are finite and > 0.
    """

    symbol: str
    id: int
    price: float
    size: float
    time: float

    def __post_init__(self) -> None:
        if not (0.0 < self.price < inf and 0.0 < self.size < inf and 0.0 < self.time < inf and self.id >= 0):
            raise ValueError(f"no trade: {self.id}, {self.price}, {self.size}, {self.time}")
