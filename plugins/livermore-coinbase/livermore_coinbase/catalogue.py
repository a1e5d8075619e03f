"""What Coinbase offers: the product list, aliases resolved, and which product a currency is followed by. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from livermore_coinbase.parse import UNREADABLE, number, read
from livermore_coinbase.text import shown
from livermore_core import Product, is_symbol


class _Row(msgspec.Struct):
    product_id: str
    status: str = ""
    alias: str | None = ""
    alias_to: list[str] | None = None
    price: str | float | None = None
    volume_24h: str | float | None = None
    approximate_quote_24h_volume: str | float | None = None
    is_disabled: bool | None = False
    trading_disabled: bool | None = False
    cancel_only: bool | None = False
    view_only: bool | None = False
    auction_mode: bool | None = False


_STOPS = ("is_disabled", "trading_disabled", "cancel_only", "view_only", "auction_mode")


class _Rows(msgspec.Struct):
    products: list[_Row]


class _LooseRows(msgspec.Struct):
    products: list[msgspec.Raw]


class Catalogue(NamedTuple):
    """The canonical products, the canonical id of each alias, and how many rows could not be read."""

    products: list[Product]
    canonical: dict[str, str]
    rejected: int


_rows = msgspec.json.Decoder(_Rows)
_loose_rows = msgspec.json.Decoder(_LooseRows)
_row = msgspec.json.Decoder(_Row)


def catalogue(body: bytes) -> Catalogue:
    """The products of one answer: one per order book, under its canonical id."""
    rows, rejected = _read(body)
    known = {row.product_id: row for row in rows if is_symbol(row.product_id)}
    # An alias of an alias, or of itself, is a product of its own: nothing that is offered may vanish in a circle.
    canonical = {
        name: row.alias
        for name, row in known.items()
        if row.alias and row.alias in known and known[row.alias].alias not in known
    }
    for name, row in known.items():
        for other in row.alias_to or ():
            if is_symbol(other) and other not in known and name not in canonical:
                canonical.setdefault(other, name)
    aliases: dict[str, list[str]] = {}
    for alias, name in canonical.items():
        aliases.setdefault(name, []).append(alias)
    products = [_product(row, aliases.get(name, ())) for name, row in known.items() if name not in canonical]
    return Catalogue(products, canonical, rejected + len(rows) - len(known))


def _read(body: bytes) -> tuple[list[_Row], int]:
    try:
        return _rows.decode(body).products, 0
    except UNREADABLE:
        raws = read(_loose_rows, body, "products").products
        rows = list(_readable(raws))
        return rows, len(raws) - len(rows)


def _readable(raws: Iterable[msgspec.Raw]) -> Iterable[_Row]:
    for raw in raws:
        try:
            yield _row.decode(raw)
        except UNREADABLE:
            continue


def _product(row: _Row, aliases: Iterable[str]) -> Product:
    turnover = number(row.approximate_quote_24h_volume) or number(number(row.volume_24h) * number(row.price))
    halted = _halted(row)
    return Product(
        symbol=row.product_id,
        aliases=tuple(sorted(aliases)),
        tradable=not halted,
        halted=halted,
        quote_volume=turnover,
    )


def _halted(row: _Row) -> str:
    """Why a product does not trade, in Coinbase's words; empty where it does."""
    if row.status != "online":
        return shown(row.status) or "no status"
    return next((word for word in _STOPS if getattr(row, word)), "")


def followed_by(currency: str, found: Catalogue) -> str | None:
    """The product that prices a held currency: in USD, else in USDC, under its canonical id."""
    tradable = {product.symbol for product in found.products if product.tradable}
    for quote in ("USD", "USDC"):
        name = f"{currency}-{quote}"
        name = found.canonical.get(name, name)
        if name in tradable:
            return name
    return None
