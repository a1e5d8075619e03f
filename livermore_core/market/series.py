"""A series: one (exchange, symbol, timeframe), and what a symbol may look like."""

from __future__ import annotations

import re
from typing import NamedTuple

SYMBOL = re.compile(r"[A-Z0-9]{1,20}(-[A-Z0-9]{1,20}){1,3}")


class Series(NamedTuple):
    """One (exchange, symbol, timeframe); the symbol is the canonical id."""

    exchange: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}:{self.timeframe}"


def is_symbol(text: str) -> bool:
    """Whether `text` may be used as a symbol, in keys, paths and messages."""
    return SYMBOL.fullmatch(text) is not None
