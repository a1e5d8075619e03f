"""What the exchange says of the followed symbols themselves: trading, halted, or offered no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from livermore_core.errors import CredentialsError, ExchangeError
from livermore_core.exchange.heal import AUDIT, Healer
from livermore_core.exchange.protocol import Product
from livermore_core.exchange.trouble import Trouble

# Seconds between two readings of the list of products, all of them in one request.
READ_EVERY = 3600.0


class Standing:
    """`states` gives each followed symbol that does not trade with `HALTED` or `RETIRED` and the reason."""

    def __init__(self, healer: Healer, report: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.states: dict[str, str] = {}
        self._healer, self._report = healer, report
        self._halted: dict[str, Trouble] = {}

    def follow(self, symbols: Sequence[str], products: Sequence[Product]) -> None:
        """These are the symbols, and this is what is said of them now."""
        self._halted = {symbol: Trouble("symbol.halted", self._report, symbol=symbol) for symbol in symbols}
        self._take(products)

    async def run(self, ready: Callable[[], None]) -> None:
        """Read again and again, for ever."""
        ready()
        while True:
            await asyncio.sleep(READ_EVERY)
            try:
                self._take(await self._healer.products(priority=AUDIT))
            except (ExchangeError, CredentialsError):
                continue  # the healer says so

    def _take(self, products: Sequence[Product]) -> None:
        offered = {product.symbol: product for product in products}
        self.states = {symbol: state for symbol in self._halted if (state := _state(offered.get(symbol)))}
        for symbol, halted in self._halted.items():
            cause = self.states.get(symbol)
            if cause is None:
                halted.well()
            elif cause != halted.cause:
                halted.bad("symbol.halted", cause)


def _state(product: Product | None) -> str:
    if product is None:
        return "RETIRED: not offered any more"
    if product.tradable:
        return ""
    kind = "RETIRED" if product.halted == "delisted" else "HALTED"
    return f"{kind}: {product.halted or 'not tradable'}"
