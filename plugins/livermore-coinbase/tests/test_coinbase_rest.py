"""The REST client over real sockets: what it sends, and what it does when time, size, connection or key fail."""

from __future__ import annotations

import asyncio
import base64
import errno
import gzip
import json
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from livermore_coinbase.auth import CorrectedClock
from livermore_coinbase.client import CoinbaseClient, open_client
from livermore_coinbase.rest import Rest, rest_session
from pydantic import SecretStr

from livermore_core import (
    BadResponseError,
    ConfigurationError,
    CredentialsError,
    ExchangeClient,
    PermanentError,
    TransientError,
    UnknownSymbolError,
)

NAME = "organizations/canary-name/apiKeys/1"
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
PREFIX = "/api/v3/brokerage"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def candle(start: int) -> dict[str, str]:
    return {"start": str(start), "low": "1", "high": "3", "open": "2", "close": "2.5", "volume": "10"}


def page(*starts: int) -> web.Response:
    return web.json_response({"candles": [candle(start) for start in starts]})


def always(make: Callable[[], web.StreamResponse]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return make()

    return answer


@pytest.fixture
async def keyed(coinbase: Any) -> AsyncIterator[CoinbaseClient]:
    async with open_client(coinbase.settings(api_key=SecretStr(NAME), api_secret=SecretStr(PEM))) as client:
        yield client


async def test_the_client_is_what_the_kit_asks_for(client: CoinbaseClient) -> None:
    typed: ExchangeClient = client
    assert typed is client
    assert client.requests_per_second == 8.0


async def test_a_page_asks_for_exactly_its_buckets_without_cache(coinbase: Any, client: CoinbaseClient) -> None:
    def answer() -> web.Response:
        response = page(*range(17_940, -60, -60))
        response.headers["Cache-Control"] = "public, max-age=14400"
        return response

    coinbase.rest = always(answer)
    for _ in range(2):
        found = await client.candles("BTC-USD", "1m", 0, 18_000)
    assert [row.time for row in found.rows] == list(range(0, 18_000, 60))
    first, second = coinbase.requests
    assert first.path == PREFIX + "/market/products/BTC-USD/candles"
    assert dict(first.query) == {"start": "0", "end": "17999", "granularity": "ONE_MINUTE", "limit": "350"}
    assert second.headers["Cache-Control"] == "no-cache"
    assert second.headers["User-Agent"].startswith("livermore/")
    assert "Authorization" not in second.headers


@pytest.mark.parametrize(
    ("timeframe", "step", "name"),
    [
        ("1m", 60, "ONE_MINUTE"),
        ("5m", 300, "FIVE_MINUTE"),
        ("15m", 900, "FIFTEEN_MINUTE"),
        ("30m", 1800, "THIRTY_MINUTE"),
        ("1h", 3600, "ONE_HOUR"),
        ("2h", 7200, "TWO_HOUR"),
        ("4h", 14400, "FOUR_HOUR"),
        ("6h", 21600, "SIX_HOUR"),
        ("1d", 86400, "ONE_DAY"),
    ],
)
async def test_every_timeframe_has_its_granularity(
    coinbase: Any, client: CoinbaseClient, timeframe: str, step: int, name: str
) -> None:
    coinbase.rest = always(lambda: page(0))
    await client.candles("BTC-USD", timeframe, 0, 300 * step)
    assert coinbase.requests[0].query["granularity"] == name
    with pytest.raises(PermanentError):
        await client.candles("BTC-USD", timeframe, 0, 301 * step)


@pytest.mark.parametrize(
    ("timeframe", "start", "end"), [("1w", 0, 604_800), ("1m", 1, 61), ("1m", 60, 60), ("1m", 60, 0)]
)
async def test_r20_a_page_that_cannot_be_asked_for_is_not(
    coinbase: Any, client: CoinbaseClient, timeframe: str, start: int, end: int
) -> None:
    with pytest.raises(PermanentError):
        await client.candles("BTC-USD", timeframe, start, end)
    assert coinbase.requests == []


@pytest.mark.parametrize("symbol", ["../accounts", "BTC-USD/../x", "btc-usd", "", "A-USD?x=1", "Ａ-USD", "A" * 10_000])
async def test_si05_a_symbol_that_is_none_never_reaches_a_path(
    coinbase: Any, client: CoinbaseClient, symbol: str
) -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        await client.candles(symbol, "1m", 0, 60)
    with pytest.raises(UnknownSymbolError):
        await client.last_trade(symbol)
    assert coinbase.requests == []
    assert len(str(caught.value)) < 300


async def test_time_and_the_last_trade(coinbase: Any, client: CoinbaseClient) -> None:
    trade = {"trade_id": "7", "product_id": "BTC-USD", "price": "5", "size": "1", "time": "2026-01-01T00:00:00Z"}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/time"):
            return web.json_response({"iso": "", "epochSeconds": "1790735849", "epochMillis": "1790735849298"})
        return web.json_response({"trades": [trade], "best_bid": "", "best_ask": ""})

    coinbase.rest = answer
    assert await client.time() == 1790735849.298
    found = await client.last_trade("BTC-USD")
    assert found is not None
    assert (found.id, found.time) == (7, 1767225600.0)
    assert [request.path_qs for request in coinbase.requests] == [
        PREFIX + "/time",
        PREFIX + "/market/products/BTC-USD/ticker?limit=1",
    ]


@pytest.fixture
async def impatient(coinbase: Any) -> AsyncIterator[Rest]:
    async with rest_session(trust_env=False, total=0.3, connect=0.2) as session:
        yield Rest(session, coinbase.rest_url, CorrectedClock())


async def test_r07_no_answer_ends_at_the_total_deadline(coinbase: Any, impatient: Rest) -> None:
    never = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return page()

    coinbase.rest = answer
    with pytest.raises(TransientError, match=r"net\.timeout"):
        await impatient.get("/time")
    coinbase.rest = always(page)
    assert (await impatient.get("/time")).body  # on a new connection
    assert coinbase.requests[0].transport is not coinbase.requests[1].transport


async def test_r08_a_dripping_body_ends_at_the_total_deadline(coinbase: Any, impatient: Rest) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    coinbase.rest = answer
    with pytest.raises(TransientError, match=r"net\.timeout"):
        await impatient.get("/time")


@pytest.mark.parametrize("kept", [0, 1, 20, 100])
async def test_r09_a_body_cut_anywhere_is_discarded_whole(coinbase: Any, client: CoinbaseClient, kept: int) -> None:
    whole = json.dumps({"candles": [candle(0), candle(60)]}).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
        await response.prepare(request)
        await response.write(whole[:kept])
        assert request.transport is not None
        request.transport.abort()
        return response

    coinbase.rest = answer
    with pytest.raises(TransientError, match=r"net\."):
        await client.candles("BTC-USD", "1m", 0, 120)


async def test_r06_a_closed_port_is_unreachable(unused_port: int) -> None:
    async with rest_session(trust_env=False) as session:
        rest = Rest(session, f"http://127.0.0.1:{unused_port}", CorrectedClock())
        with pytest.raises(TransientError, match=r"net\.unreachable"):
            await rest.get("/time")


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "no such name"), OSError(errno.ENETUNREACH, "no network")], ids=repr
)
async def test_r06_a_name_that_cannot_be_resolved_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    async def resolve(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with rest_session(trust_env=False) as session:
        with pytest.raises(TransientError, match=r"net\.unreachable"):
            await Rest(session, "https://exchange.example", CorrectedClock()).get("/time")


async def test_p19_without_file_descriptors_open_connections_live_on_and_new_ones_come_later(
    coinbase: Any, client: CoinbaseClient
) -> None:
    coinbase.rest = always(lambda: page(0))
    await client.candles("BTC-USD", "1m", 0, 60)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    async with rest_session(trust_env=False) as session:
        another = Rest(session, coinbase.rest_url, CorrectedClock())
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            assert len((await client.candles("BTC-USD", "1m", 0, 60)).rows) == 1
            with pytest.raises(TransientError, match=r"net\."):
                await another.get("/time")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (await another.get("/time")).body


async def test_r28_a_certificate_nobody_vouches_for_is_refused(coinbase: Any) -> None:
    async with rest_session(trust_env=False) as session:
        rest = Rest(session, coinbase.rest_url.replace("http:", "https:"), CorrectedClock())
        with pytest.raises(TransientError, match=r"tls\.invalid|net\."):
            await rest.get("/time")


async def test_r27_si02_a_body_is_stopped_at_8_mib_after_decompression(coinbase: Any, client: CoinbaseClient) -> None:
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    assert len(bomb) < 100_000
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    coinbase.rest = always(lambda: web.Response(body=bomb, headers=headers))
    with pytest.raises(BadResponseError, match=r"rest\.too_large"):
        await client.candles("BTC-USD", "1m", 0, 60)


async def test_r26_si08_a_redirect_is_not_followed(coinbase: Any, keyed: CoinbaseClient) -> None:
    coinbase.rest = always(lambda: web.Response(status=302, headers={"Location": "/elsewhere"}))
    with pytest.raises(TransientError, match=r"rest\.bad_redirect"):
        await keyed.candles("BTC-USD", "1m", 0, 60)
    assert [request.path for request in coinbase.requests] == [PREFIX + "/products/BTC-USD/candles"]


async def test_r29_a_pooled_connection_that_the_server_closed_is_replaced_unnoticed(
    coinbase: Any, client: CoinbaseClient
) -> None:
    """Closed while the request is under way: the server reads it and hangs up without a word."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if len(coinbase.requests) == 2:
            assert request.transport is not None
            request.transport.abort()
        return page(0)

    coinbase.rest = answer
    await client.candles("BTC-USD", "1m", 0, 60)
    assert len((await client.candles("BTC-USD", "1m", 0, 60)).rows) == 1
    assert len(coinbase.requests) == 3


async def test_si07_proxies_of_the_environment_are_ignored(
    coinbase: Any, client: CoinbaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    coinbase.rest = always(lambda: page(0))
    assert len((await client.candles("BTC-USD", "1m", 0, 60)).rows) == 1


def claims(request: web.Request) -> dict[str, Any]:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    return dict(jwt.decode(token, KEY.public_key(), algorithms=["ES256"]))


async def test_sk06_a_key_signs_method_host_and_path_of_each_request_anew(coinbase: Any, keyed: CoinbaseClient) -> None:
    coinbase.rest = always(lambda: page(0))
    for _ in range(2):
        await keyed.candles("BTC-USD", "1m", 0, 60)
    first, second = coinbase.requests
    assert first.path == PREFIX + "/products/BTC-USD/candles"
    assert claims(first)["uri"] == f"GET 127.0.0.1:{coinbase.port}{PREFIX}/products/BTC-USD/candles"
    assert first.headers["Authorization"] != second.headers["Authorization"]
    assert keyed.requests_per_second == 10.0


async def test_r25_t03_a_refused_token_is_minted_anew_once_by_the_servers_clock(
    coinbase: Any, keyed: CoinbaseClient
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(coinbase.requests) == 1:
            return web.Response(status=401, text="Unauthorized\n", headers={"Date": "Wed, 01 Jan 2031 00:00:00 GMT"})
        return page(0)

    coinbase.rest = answer
    assert len((await keyed.candles("BTC-USD", "1m", 0, 60)).rows) == 1
    token = coinbase.requests[1].headers["Authorization"].removeprefix("Bearer ")
    found = jwt.decode(token, KEY.public_key(), ["ES256"], {"verify_nbf": False, "verify_exp": False})
    assert abs(found["nbf"] - 1_924_992_000) < 60  # 2031-01-01


@pytest.mark.parametrize(("status", "said"), [(401, "clock"), (403, "view")])
async def test_r25_c03_c04_market_data_goes_on_without_a_refused_key(
    coinbase: Any, keyed: CoinbaseClient, caplog: pytest.LogCaptureFixture, status: int, said: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status) if "Authorization" in request.headers else page(0)

    coinbase.rest = answer
    for _ in range(3):
        assert len((await keyed.candles("BTC-USD", "1m", 0, 60)).rows) == 1
    asked = ["Authorization" in request.headers for request in coinbase.requests]
    assert asked.count(True) == (2 if status == 401 else 1)
    assert len([record for record in caplog.records if "credentials.refused" in record.getMessage()]) == 1
    assert said in caplog.text
    assert keyed.requests_per_second == 8.0
    with pytest.raises(CredentialsError, match=r"credentials\.refused"):
        await keyed._rest.get("/accounts", signed=True)


def key_of(request: web.Request) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return str(jwt.get_unverified_header(token)["kid"]) if token else "none"


@pytest.mark.parametrize("when", ["while it is refused", "afterwards"])
async def test_sk10_a_key_file_that_is_changed_replaces_a_refused_key_at_once(
    coinbase: Any, tmp_path: Path, when: str
) -> None:
    file = tmp_path / "key.json"

    def put(name: str) -> None:
        file.write_text(json.dumps({"name": name, "privateKey": PEM}))
        file.chmod(0o600)

    async def answer(request: web.Request) -> web.StreamResponse:
        if key_of(request) != "first":
            return page(0)
        if when == "while it is refused":
            put("the second one")
        return web.Response(status=401)

    coinbase.rest = answer
    put("first")
    async with open_client(coinbase.settings(api_key_file=file)) as client:
        await client.candles("BTC-USD", "1m", 0, 60)
        if when == "afterwards":
            assert [key_of(request) for request in coinbase.requests] == ["first", "first", "none"]
            put("the second one")
        await client.candles("BTC-USD", "1m", 0, 60)
        assert key_of(coinbase.requests[-1]) == "the second one"
        assert client.requests_per_second == 10.0


PRODUCTS = {
    "products": [
        {"product_id": "BTC-USD", "status": "online", "alias": "", "alias_to": ["BTC-USDC"]},
        {"product_id": "BTC-USDC", "status": "online", "alias": "BTC-USD", "alias_to": []},
        {"product_id": "ETH-USDC", "status": "online", "alias": "", "alias_to": []},
    ]
}


def account_server(coinbase: Any, **rights: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        if path == "/key_permissions":
            return web.json_response({"can_view": True, "can_trade": False, "can_transfer": False, **rights})
        if path == "/products":
            return web.json_response(PRODUCTS)
        last = request.query.get("cursor") == "two"
        names = ["ETH", "USD"] if last else ["BTC", "DUST"]
        rows = [{"currency": name, "available_balance": {"value": "0.1"}, "hold": {"value": "0"}} for name in names]
        return web.json_response({"accounts": rows, "has_next": not last, "cursor": "" if last else "two", "size": 2})

    coinbase.rest = answer


async def test_held_pages_through_the_accounts(coinbase: Any, keyed: CoinbaseClient) -> None:
    account_server(coinbase)
    assert await keyed.held() == ["BTC-USD", "ETH-USDC"]
    accounts = [dict(request.query) for request in coinbase.requests if request.path.endswith("/accounts")]
    assert accounts == [{"limit": "250"}, {"limit": "250", "cursor": "two"}]


async def test_held_without_a_key_names_what_to_set(client: CoinbaseClient) -> None:
    with pytest.raises(ConfigurationError, match="api_key_file"):
        await client.held()


@pytest.mark.parametrize(("rights", "warned"), [({}, 0), ({"can_trade": True}, 1), ({"can_transfer": True}, 1)])
async def test_c05_sk05_a_key_that_may_do_more_than_look_is_warned_of_once(
    coinbase: Any, keyed: CoinbaseClient, caplog: pytest.LogCaptureFixture, rights: dict[str, bool], warned: int
) -> None:
    account_server(coinbase, **rights)
    for _ in range(2):
        assert [product.symbol for product in await keyed.products()] == ["BTC-USD", "ETH-USDC"]
    assert caplog.text.count("too_powerful") == warned


async def test_c05_such_a_key_can_be_refused(coinbase: Any) -> None:
    account_server(coinbase, can_trade=True)
    key = {"api_key": SecretStr(NAME), "api_secret": SecretStr(PEM)}
    async with open_client(coinbase.settings(require_view_only=True, **key)) as strict:
        with pytest.raises(CredentialsError, match="too_powerful"):
            await strict.products()


@pytest.mark.parametrize(
    ("rights", "said"), [({}, "view"), ({"can_trade": True, "can_transfer": True}, "view, trade, transfer")]
)
async def test_c05_what_the_key_may_do_is_told(
    coinbase: Any, keyed: CoinbaseClient, rights: dict[str, bool], said: str
) -> None:
    account_server(coinbase, **rights)
    assert await keyed.credentials() == said


async def test_c04_c05_a_key_that_may_not_look_or_may_too_much_is_refused(coinbase: Any, keyed: CoinbaseClient) -> None:
    account_server(coinbase, can_view=False)
    with pytest.raises(CredentialsError, match=r"credentials\.insufficient"):
        await keyed.credentials()
    account_server(coinbase, can_trade=True)
    key = {"api_key": SecretStr(NAME), "api_secret": SecretStr(PEM)}
    async with open_client(coinbase.settings(require_view_only=True, **key)) as strict:
        for _ in range(2):
            with pytest.raises(CredentialsError, match="too_powerful"):
                await strict.credentials()


async def test_without_a_key_nobody_is_asked_what_it_may_do(coinbase: Any, client: CoinbaseClient) -> None:
    assert await client.credentials() == ""
    assert coinbase.requests == []


async def test_g7_sk07_no_fault_shows_the_key(
    coinbase: Any, keyed: CoinbaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def echo(status: int, kind: str) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            seen.append(request.headers.get("Authorization", "none").removeprefix("Bearer "))
            text = json.dumps({"message": f"you sent {seen[-1]}"})
            return web.Response(status=status, text=text, content_type=kind)

        return answer

    said = ""
    for status in (200, 302, 400, 401, 403, 404, 429, 500):
        for kind in ("application/json", "text/html"):
            coinbase.rest = echo(status, kind)
            for call in (keyed.candles("BTC-USD", "1m", 0, 60), keyed.time(), keyed.held()):
                try:
                    await call
                except Exception as error:
                    said += f"{error!r} {error} {error.__cause__!r} {vars(error)}"
            keyed._public_until = 0.0
    said += caplog.text + repr(keyed) + repr(vars(keyed)) + repr(vars(keyed._rest))
    assert len({token for token in seen if token.startswith("eyJ")}) > 10
    for secret in (PEM.splitlines()[1], base64.b64encode(PEM.encode()).decode()[:40], "eyJ", "PRIVATE KEY"):
        assert secret not in said
