"""How the exchange writes: trimmed decimals, times of varying length, JSON bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from email.utils import formatdate

import msgspec

from livermore_simulator.market import Minute
from livermore_simulator.trades import Print


def number(value: float) -> str:
    """A decimal without exponent and trailing zeros."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def size(units: int) -> str:
    """Hundred-millionths as a decimal without trailing zeros."""
    whole, rest = divmod(units, 100_000_000)
    return f"{whole}.{rest:08d}".rstrip("0").rstrip(".")


def instant(moment: float, nanos: int = 0) -> str:
    """RFC 3339 with up to nine decimals, trailing zeros trimmed; `nanos` are added below the microsecond."""
    return micro_instant(round(moment * 1e6), nanos)


def micro_instant(micros: int, nanos: int = 0) -> str:
    """The same from whole UNIX microseconds."""
    seconds, rest = divmod(micros, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest:06d}{nanos:03d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def http_date(moment: float) -> str:
    """The `Date` header of an answer given at `moment`."""
    return formatdate(int(moment), usegmt=True)


def candle(row: Minute) -> dict[str, str]:
    """A candle as REST and the candles channel print it."""
    return {
        "start": str(row.time),
        "low": number(row.low),
        "high": number(row.high),
        "open": number(row.open),
        "close": number(row.close),
        "volume": size(row.units),
    }


def trade(symbol: str, made: Print) -> dict[str, str]:
    """A trade as `market_trades` prints it."""
    return {
        "product_id": symbol,
        "trade_id": str(made.id),
        "price": number(made.price),
        "size": size(made.units),
        "time": micro_instant(made.micros),
        "side": made.side,
    }


encode = msgspec.json.encode
