"""Symbols and timeframes as the user writes them, normalised once at the edge."""

from __future__ import annotations

from livermore_core.errors import near
from livermore_core.market.series import is_symbol
from livermore_core.market.timeframe import WIDTHS

QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH")
LONGEST = 90


def symbol_wish(text: str) -> str:
    """A symbol, glob, `top:N` or `held` in its one form. Raises ValueError with the reason where there is none."""
    wish = text.strip()
    if wish.lower() == "held":
        return "held"
    if wish.lower().startswith("top:"):
        return _top(wish)
    symbol = wish.upper().replace("/", "-").replace("_", "-")
    if not symbol or len(symbol) > LONGEST:
        raise ValueError(f"{text[:LONGEST]!r} is no symbol; write e.g. 'BTC-USD'")
    if any(sign in symbol for sign in "*?["):
        return symbol
    if not is_symbol(symbol):
        raise ValueError(f"{text!r} is no symbol{_with_dash(symbol)}")
    return symbol


def timeframe_name(text: str) -> str:
    """A timeframe that exists. Raises ValueError with the nearest."""
    name = text.strip()
    if name not in WIDTHS:
        raise ValueError(f"unknown timeframe {text!r}{near(name.lower(), WIDTHS)}; known: {', '.join(WIDTHS)}")
    return name


def _top(wish: str) -> str:
    count = wish[len("top:") :].strip()
    if not (count.isascii() and count.isdigit() and 1 <= int(count[:9]) <= 10_000):
        raise ValueError(f"{wish!r} must name a number of products, 1 to 10000, e.g. 'top:8'")
    return f"top:{int(count)}"


def _with_dash(symbol: str) -> str:
    for quote in QUOTES:
        base = symbol.removesuffix(quote)
        if base != symbol and is_symbol(f"{base}-{quote}"):
            return f": it is ambiguous without a dash, did you mean '{base}-{quote}'?"
    return "; write e.g. 'BTC-USD'"
