"""The REST side: time, products, candles, last trades and accounts, with the exchange's limits and errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from zlib import crc32

from aiohttp import web

from livermore_simulator import wire
from livermore_simulator.market import Product
from livermore_simulator.rest_faults import mutated, refusal, sent
from livermore_simulator.truth import WIDTHS

if TYPE_CHECKING:
    from livermore_simulator.server import SimulatedExchange

PREFIX = "/api/v3/brokerage"
MOST_CANDLES = 350
# So many rows before the first one asked for come along with a page that is out of range.
EARLIER = 3
GRANULARITIES = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "THIRTY_MINUTE": "30m",
    "ONE_HOUR": "1h",
    "TWO_HOUR": "2h",
    "FOUR_HOUR": "4h",
    "SIX_HOUR": "6h",
    "ONE_DAY": "1d",
}
HTML_429 = "<html><head><title>429 Too Many Requests</title></head><body>rate limited</body></html>"
ACCOUNTS_PER_PAGE = 2


class Rest:
    """Handlers of one simulated exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._cache: dict[str, tuple[float, bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Public paths with `/market`, private ones without; the same answers."""
        made = [web.get(f"{PREFIX}/time", self._guard(self._time))]
        for middle in ("/market", ""):
            root = f"{PREFIX}{middle}/products"
            made += [
                web.get(root, self._guard(self._products)),
                web.get(root + "/{symbol}", self._guard(self._product)),
                web.get(root + "/{symbol}/candles", self._guard(self._candles)),
                web.get(root + "/{symbol}/ticker", self._guard(self._ticker)),
            ]
        made += [
            web.get(f"{PREFIX}/accounts", self._guard(self._accounts)),
            web.get(f"{PREFIX}/key_permissions", self._guard(self._permissions)),
        ]
        return made

    # ---- who may ask ----

    def _guard(self, answer: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            exchange = self._exchange
            exchange.faults.count("request")
            exchange.candle_requests += request.path.endswith("/candles")
            if exchange.latency:
                await asyncio.sleep(exchange.latency)
            product = exchange.market.find(request.match_info.get("symbol", ""))
            symbol = product.symbol if product is not None else ""
            response = await refusal(exchange.faults, symbol) or self._refusal(request) or answer(request)
            response.headers.setdefault("Date", wire.http_date(self._shown()))
            exchange.record(request, response.status)
            return await sent(exchange.faults, request, symbol, response)

        return handle

    def _refusal(self, request: web.Request) -> web.Response | None:
        exchange = self._exchange
        private = not request.path.startswith((f"{PREFIX}/market", f"{PREFIX}/time"))
        bearer = request.headers.get("Authorization", "")
        if private and bearer.count(".") != 2:
            headers = {"Cache-Control": "no-store"}
            return web.Response(status=401, text="Unauthorized\n", content_type="text/plain", headers=headers)
        bucket = exchange.private_bucket if private else exchange.public_bucket(request.remote or "")
        if bucket.take():
            return None
        if exchange.quirks.html_429:
            return web.Response(status=429, text=HTML_429, content_type="text/html")
        return _json({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, 429)

    def _shown(self) -> float:
        """The moment that this host takes it to be."""
        return self._exchange.clock.now() + self._exchange.faults.total("clock.step", "clock.skew")

    # ---- answers ----

    def _time(self, request: web.Request) -> web.Response:
        now = self._shown()
        iso = wire.instant(int(now))
        return _json({"iso": iso, "epochSeconds": str(int(now)), "epochMillis": str(int(now * 1000))})

    def _products(self, request: web.Request) -> web.Response:
        market = self._exchange.market
        rows = []
        for product in market.products.values():
            rows.append(self._describe(product.symbol, product))
            rows += [self._describe(alias, product) for alias in product.aliases]
        return _json({"products": rows, "num_products": len(rows), "pagination": None})

    def _product(self, request: web.Request) -> web.Response:
        name = request.match_info["symbol"]
        product = self._exchange.market.find(name)
        if product is None:
            return _error(404, "NOT_FOUND", f"Product {name} not supported")
        return _json(self._describe(name, product))

    def _describe(self, name: str, product: Product) -> dict[str, Any]:
        now = self._exchange.clock.now()
        day = self._exchange.truth.minutes(product.symbol, 3600, int(now) // 3600 * 3600 - 86_400, int(now), now)
        units = sum(row.units for row in day)
        last = day[-1].close if day else 0.0
        base, _, quote = name.rpartition("-")
        online = product.status == "online"
        described = {
            "product_id": name,
            "price": wire.number(last) if day else "",
            "volume_24h": wire.size(units),
            "approximate_quote_24h_volume": f"{units / 1e8 * last:.2f}",
            "base_increment": "0.00000001",
            "quote_increment": "0.01",
            "base_currency_id": base,
            "quote_currency_id": quote,
            "status": product.status,
            "is_disabled": not online,
            "trading_disabled": not online,
            "cancel_only": False,
            "view_only": False,
            "auction_mode": False,
            "product_type": "SPOT",
            "alias": "" if name == product.symbol else product.symbol,
            "alias_to": list(product.aliases) if name == product.symbol else [],
            "new_at": "2023-01-01T00:00:00Z",
        }
        if self._exchange.quirks.unknown_members:
            described["a_member_of_next_year"] = {"nested": [1, None]}
        return described

    def _candles(self, request: web.Request) -> web.Response:
        exchange = self._exchange
        name, query = request.match_info["symbol"], request.query
        product = exchange.market.find(name)
        if product is None:
            return _error(400, "INVALID_ARGUMENT", "ProductID is invalid")
        timeframe = GRANULARITIES.get(query.get("granularity", ""))
        if timeframe is None:
            return _error(400, "INVALID_ARGUMENT", "granularity argument is invalid")
        try:
            start, end = int(query["start"]), int(query["end"])
        except (KeyError, ValueError):
            return _error(400, "INVALID_ARGUMENT", "start and end argument is invalid")
        width = WIDTHS[timeframe]
        first, last = -(-start // width) * width, end // width * width
        if (last - first) // width + 1 > MOST_CANDLES:
            text = "start and end argument is invalid - number of candles requested should be less than 350"
            return _error(400, "INVALID_ARGUMENT", text)
        return self._page(request, product, width, first, last + width)

    def _page(self, request: web.Request, product: Product, width: int, start: int, end: int) -> web.Response:
        exchange = self._exchange
        now = exchange.clock.now()
        made, body = self._cache.get(request.path_qs, (0.0, b""))
        fresh = "no-cache" in request.headers.get("Cache-Control", "") or not exchange.quirks.cache
        mutating = exchange.faults.take("rest.mutate", product.symbol)
        if fresh or mutating is not None or not 0 <= now - made < 1.0:
            rows = exchange.truth.minutes(product.symbol, width, start, end, now)
            seen = now - self._lag(product.symbol, now)
            if seen < now:
                rows = [row for row in rows if row.time + width <= seen]
            made, body = now, wire.encode({"candles": [wire.candle(row) for row in reversed(rows)]})
            if mutating is not None:
                earlier = exchange.truth.minutes(product.symbol, width, start - EARLIER * width, start, now)
                seed = f"{exchange.seed}:{request.path_qs}"
                body = wire.encode(mutated(mutating.fault, rows, earlier, width, now, seed))
            elif exchange.quirks.cache:
                self._cache.pop(request.path_qs, None)
                self._cache = {request.path_qs: (made, body), **dict(list(self._cache.items())[:100])}
        headers = {"Date": wire.http_date(self._shown())}
        if made < now:
            # An answer from the cache speaks of a moment at least that long ago.
            headers["Age"] = str(int(now) - int(made))
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _lag(self, symbol: str, now: float) -> float:
        """How far REST is behind: 0 to `rest_lag` exchange seconds, another figure each minute, mostly 0."""
        chance = crc32(f"{self._exchange.seed}:{symbol}:{int(now // 60)}".encode()) / 2**32
        return 0.0 if chance < 0.6 else (chance - 0.6) / 0.4 * self._exchange.quirks.rest_lag

    def _ticker(self, request: web.Request) -> web.Response:
        name = request.match_info["symbol"]
        product = self._exchange.market.find(name)
        if product is None:
            return _error(404, "NOT_FOUND", f"Product {name} not supported")
        limit = min(100, int(request.query.get("limit", "100")))
        found = product.newest(self._exchange.clock.now(), limit)
        rows = [wire.trade(name, made) | {"bid": "", "ask": "", "exchange": "coinbase"} for made in reversed(found)]
        return _json({"trades": rows, "best_bid": "", "best_ask": ""})

    def _accounts(self, request: web.Request) -> web.Response:
        bases = [symbol.partition("-")[0] for symbol in self._exchange.market.products]
        first = int(request.query.get("cursor") or 0)
        last = first + ACCOUNTS_PER_PAGE
        rows = [_account(base, held=position < 3) for position, base in enumerate(bases)][first:last]
        more = last < len(bases)
        return _json({"accounts": rows, "has_next": more, "cursor": str(last) if more else "", "size": len(rows)})

    def _permissions(self, request: web.Request) -> web.Response:
        return _json({"can_view": True, "can_trade": False, "can_transfer": False, "portfolio_type": "DEFAULT"})


def _account(currency: str, held: bool) -> dict[str, Any]:
    balance = {"value": "1.5" if held else "0", "currency": currency}
    return {
        "uuid": f"00000000-0000-0000-0000-{crc32(currency.encode()):012d}",
        "currency": currency,
        "available_balance": balance,
        "hold": {"value": "0", "currency": currency},
        "active": True,
        "type": "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
    }


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=wire.encode(body), status=status, content_type="application/json")


def _error(status: int, code: str, text: str) -> web.Response:
    return _json({"error": code, "error_details": text, "message": text}, status)
