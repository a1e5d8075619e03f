"""The client of Coinbase: what the exchange kit asks for, over REST and WebSocket."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic

from livermore_coinbase.account import KeyRights, holdings, key_rights
from livermore_coinbase.auth import CorrectedClock, Signer
from livermore_coinbase.catalogue import Catalogue, catalogue, followed_by
from livermore_coinbase.keys import KEY_VARIABLE, Key, load_keys
from livermore_coinbase.parse import CandleRows, candle_rows, exchange_time, newest_trade
from livermore_coinbase.rest import Answer, Rest, rest_session
from livermore_coinbase.settings import CoinbaseSettings
from livermore_coinbase.stream import Stream, stream_session
from livermore_coinbase.text import shown
from livermore_core import (
    BadResponseError,
    ConfigurationError,
    CredentialsError,
    ExchangeError,
    Message,
    Page,
    PermanentError,
    Product,
    Trade,
    TransientError,
    UnknownSymbolError,
    is_symbol,
    width,
)

LOG = logging.getLogger("livermore_coinbase")
GRANULARITIES = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "4h": "FOUR_HOUR",
    "6h": "SIX_HOUR",
    "1d": "ONE_DAY",
}
PAGE_SIZE = 300
_SERVER_LIMIT = "350"
_PUBLIC_PACE, _KEYED_PACE = 8.0, 10.0
_ASK_AGAIN = 900.0
_MOST_PAGES = 200
_TOO_POWERFUL = "credentials.too_powerful: the API key may trade or transfer; create one with the right `view` alone"


class CoinbaseClient:
    """One open connection to Coinbase. `counts` tells what was ignored, dropped and rejected."""

    def __init__(
        self, rest: Rest, stream: Stream, signer: Signer | None = None, *, require_view_only: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._rest, self._stream, self._signer = rest, stream, signer
        self._require_view_only = require_view_only
        self._catalogue: Catalogue | None = None
        self._rights_known = signer is None
        self._refused: Key | None = None
        self._public_until = 0.0

    @property
    def requests_per_second(self) -> float:
        """The pace that the exchange grants: more with a key."""
        return _KEYED_PACE if self._keyed() else _PUBLIC_PACE

    async def time(self) -> float:
        """The exchange's clock, UNIX seconds."""
        return exchange_time((await self._rest.get("/time")).body)

    async def products(self) -> list[Product]:
        """All products, aliases resolved."""
        await self._check_rights()
        return (await self._load_catalogue()).products

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Page:
        """One page: the native candles of the buckets with start <= time < end, both aligned, at most 300."""
        rows, moment = await self._candle_rows(symbol, timeframe, start, end)
        if rows.conflicts:  # the same bucket twice with different values: asked once more, then the last one holds
            rows, moment = await self._candle_rows(symbol, timeframe, start, end)
            self.counts["data.conflict"] += rows.conflicts
        self.counts["data.rejected"] += len(rows.rejected)
        self.counts["data.out_of_range"] += rows.dropped
        return Page(rows=rows.rows, moment=moment, rejected=rows.rejected)

    async def last_trade(self, symbol: str) -> Trade | None:
        """The newest trade of a symbol; None where it never traded."""
        answer = await self._market(f"/products/{_checked(symbol)}/ticker", {"limit": "1"}, symbol)
        return newest_trade(answer.body, symbol)

    async def held(self) -> list[str]:
        """The symbols of what the account holds: priced in USD, else in USDC, by canonical id."""
        if self._signer is None:
            raise ConfigurationError(f'"held" needs an API key: set api_key_file, or {KEY_VARIABLE} and its secret')
        found = self._catalogue or await self._load_catalogue()
        symbols = [followed_by(currency, found) for currency in await self._held_currencies()]
        return list(dict.fromkeys(symbol for symbol in symbols if symbol is not None))

    async def credentials(self) -> str:
        """What the key may do ("view, trade"); "" without a key. Raises CredentialsError where it is not accepted."""
        if self._signer is None:
            return ""
        rights = await self._rights()
        if not rights.can_view:
            raise CredentialsError("credentials.insufficient: the API key lacks the right `view`")
        return ", ".join(word for word in ("view", "trade", "transfer") if getattr(rights, f"can_{word}"))

    def feed(self, symbols: Sequence[str]) -> AsyncGenerator[Message, None]:
        """One connection's life: subscribe to `symbols`, yield what comes, end by raising."""
        aliases = self._catalogue.canonical if self._catalogue else {}
        return self._stream.follow(symbols, aliases, self.counts)

    async def _candle_rows(self, symbol: str, timeframe: str, start: int, end: int) -> tuple[CandleRows, float]:
        step = _step(timeframe, start, end)
        # One second less than the end: the last bucket is in the answer whether `end` is inclusive or not.
        window = {"start": str(start), "end": str(end - 1), "granularity": GRANULARITIES[timeframe]}
        answer = await self._market(f"/products/{_checked(symbol)}/candles", window | {"limit": _SERVER_LIMIT}, symbol)
        if answer.moment is None:
            raise BadResponseError("rest.bad_response: candles without a Date prove nothing")
        return candle_rows(answer.body, start, end, step), answer.moment

    async def _market(self, path: str, params: Mapping[str, str] | None = None, symbol: str | None = None) -> Answer:
        """Market data: with the key while it is accepted, else from the public endpoint."""
        if self._signer is not None and self._keyed():
            key = self._signer.key()
            try:
                return await self._rest.get(path, params, signed=True, symbol=symbol)
            except CredentialsError as error:
                self._refused, self._public_until = key, monotonic() + _ASK_AGAIN
                LOG.warning("%s; market data goes on without it", error)
        return await self._rest.get(f"/market{path}", params, symbol=symbol)

    def _keyed(self) -> bool:
        if self._signer is None:
            return False
        return monotonic() >= self._public_until or self._signer.key() is not self._refused

    async def _load_catalogue(self) -> Catalogue:
        self._catalogue = catalogue((await self._market("/products")).body)
        self.counts["data.rejected"] += self._catalogue.rejected
        return self._catalogue

    async def _held_currencies(self) -> list[str]:
        currencies: list[str] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            params = {"limit": "250"} | ({"cursor": cursor} if cursor else {})
            page = holdings((await self._rest.get("/accounts", params, signed=True)).body)
            currencies += page.currencies
            if not page.cursor or page.cursor == cursor:
                return currencies
            cursor = page.cursor
        raise BadResponseError(f"rest.bad_response: accounts go on after {_MOST_PAGES} pages")

    async def _check_rights(self) -> None:
        """Say once if the key may do more than look."""
        if self._rights_known:
            return
        try:
            rights = await self._rights()
        except (ExchangeError, CredentialsError) as error:
            if self._require_view_only:
                raise
            if not isinstance(error, TransientError):
                LOG.warning("credentials.unchecked: %s", error)
            return
        self._rights_known = True
        if rights.can_trade or rights.can_transfer:
            LOG.warning(_TOO_POWERFUL)

    async def _rights(self) -> KeyRights:
        """What the key may do. Raises CredentialsError where that is more than is wanted."""
        rights = key_rights((await self._rest.get("/key_permissions", signed=True)).body)
        if self._require_view_only and (rights.can_trade or rights.can_transfer):
            raise CredentialsError(_TOO_POWERFUL)
        return rights


def _checked(symbol: str) -> str:
    """`symbol` if it may stand in a path."""
    if not is_symbol(symbol):
        raise UnknownSymbolError(f"symbol.unknown: {shown(symbol)} is not a symbol")
    return symbol


def _step(timeframe: str, start: int, end: int) -> int:
    """The width of the asked buckets. Raises PermanentError where the page cannot be asked for."""
    if timeframe not in GRANULARITIES:
        raise PermanentError(f"Coinbase has no candles of {timeframe}; it has {', '.join(GRANULARITIES)}")
    step = width(timeframe)
    if start % step or end % step or not start < end <= start + PAGE_SIZE * step:
        raise PermanentError(f"no page of {timeframe}: [{start}, {end})")
    return step


@asynccontextmanager
async def open_client(settings: CoinbaseSettings) -> AsyncIterator[CoinbaseClient]:
    """A client for the length of the block. Raises ConfigurationError where the key cannot be used."""
    keys = load_keys(settings)
    clock = CorrectedClock()
    signer = Signer(keys, clock) if keys else None
    async with (
        rest_session(trust_env=settings.trust_env) as rest,
        stream_session(trust_env=settings.trust_env) as stream,
    ):
        yield CoinbaseClient(
            Rest(rest, settings.rest_url, clock, signer),
            Stream(stream, settings.ws_url, signer),
            signer,
            require_view_only=settings.require_view_only,
        )
