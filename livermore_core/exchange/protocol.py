"""What an exchange plugin implements: four methods, and the messages of its feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from livermore_core.market.candle import Candle
from livermore_core.market.trade import Trade


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange offers under one symbol.

    `aliases` are other names of the same book; `halted` says why it is not `tradable` ("delisted", say), where the
    exchange tells; `quote_volume` is the turnover of 24 h in the quote currency;
    `listed` the UNIX second before which there is no candle, where the exchange tells.
    """

    symbol: str
    aliases: tuple[str, ...] = ()
    tradable: bool = True
    halted: str = ""
    quote_volume: float = 0.0
    listed: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to `candles`: the rows in any order, and the exchange's moment of that answer (UNIX seconds).

    `rejected` are the bucket times of rows that could not be a candle: their buckets stay unknown.
    """

    rows: Sequence[Candle]
    moment: float
    rejected: tuple[int, ...] = ()


class CandleUpdate(msgspec.Struct, frozen=True):
    """The exchange's own candle of a bucket so far (a witness that may only accuse)."""

    symbol: str
    timeframe: str
    candle: Candle


class Heartbeat(msgspec.Struct, frozen=True):
    """The exchange's clock reached `stamp` (UNIX seconds), and everything sent before it has been yielded."""

    stamp: float


class Subscribed(msgspec.Struct, frozen=True):
    """The exchange acknowledged that trades of these symbols flow on this connection from here on."""

    symbols: frozenset[str]


class Lost(msgspec.Struct, frozen=True):
    """`count` frames of this connection are missing before here: any symbol's trades may be among them."""

    count: int


Message = Trade | CandleUpdate | Heartbeat | Subscribed | Lost


class ExchangeClient(Protocol):
    """One open exchange. Every method raises TransientError, PermanentError or CredentialsError on failure.

    Optional: `async def last_trade(symbol) -> Trade | None` (asked when a symbol has been quiet), `async def held() ->
    list[str]` (symbols the account holds), `requests_per_second: float` (where a key allows another pace), and `async
    def credentials() -> str` (what the key may do: some of view, trade, transfer, with commas; "" without a key).
    """

    async def products(self) -> list[Product]:
        """All products, aliases resolved."""

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
        """One page: the native candles of the buckets with start <= time < end, both aligned, at most `page_size`."""

    async def time(self) -> float:
        """The exchange's clock, UNIX seconds."""

    def feed(self, symbols: Sequence[str]) -> AsyncIterator[Message]:
        """One connection's life: subscribe to `symbols`, yield what comes, end by raising.

        Per frame: its content first (trades by ascending id), then a Heartbeat with the frame's stamp.
        """
