"""What the user asked to follow, resolved to the exchange's canonical symbols."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from livermore_core.errors import near
from livermore_core.exchange.protocol import Product

DEFAULT = ("top:8",)
QUOTE = "-USD"


class Resolved(msgspec.Struct):
    """Canonical symbols in the order asked for, the aliases that lead to them, and what is unknown, with the reason."""

    symbols: tuple[str, ...]
    aliases: dict[str, str]
    unknown: dict[str, str]


def resolve(requested: Sequence[str], products: Sequence[Product], held: Sequence[str] = ()) -> Resolved:
    """Resolve ids, aliases, globs ("*-USD"), "top:N" (by 24 h turnover in USD) and "held"."""
    canonical = {product.symbol: product for product in products}
    aliases = {alias: product.symbol for product in products for alias in product.aliases}
    tradable = [product.symbol for product in products if product.tradable]
    found: dict[str, None] = {}
    unknown: dict[str, str] = {}
    for wish in requested or DEFAULT:
        matches = _matches(wish, canonical, aliases, tradable, held)
        if matches:
            found.update(dict.fromkeys(matches))
        else:
            unknown[wish] = f"unknown symbol {wish!r}{near(wish, [*canonical, *aliases])}"
    return Resolved(tuple(found), aliases, unknown)


def _matches(
    wish: str, canonical: dict[str, Product], aliases: dict[str, str], tradable: Sequence[str], held: Sequence[str]
) -> list[str]:
    if wish == "held":
        return [aliases.get(symbol, symbol) for symbol in held]
    if wish.startswith("top:"):
        ranked = sorted(
            (symbol for symbol in tradable if symbol.endswith(QUOTE)),
            key=lambda symbol: (-canonical[symbol].quote_volume, symbol),
        )
        return ranked[: int(wish.removeprefix("top:"))]
    if any(sign in wish for sign in "*?["):
        return sorted(symbol for symbol in tradable if fnmatchcase(symbol, wish))
    symbol = aliases.get(wish, wish)
    return [symbol] if symbol in canonical else []
