"""The REST side over a real socket: candles and their bounds, errors, limits, the cache and what lags."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from livermore_simulator import Quirks, SyntheticMarket

from livermore_core.testing import Fault

NOON = 1_704_283_200
JWT = {"Authorization": "Bearer a.b.c"}
MINUTES = "ONE_MINUTE"
TOO_MANY = "start and end argument is invalid - number of candles requested should be less than 350"
WIDTHS = {MINUTES: 60, "FIVE_MINUTE": 300, "FIFTEEN_MINUTE": 900, "ONE_HOUR": 3600, "FOUR_HOUR": 14_400}


def starts(answer: Any) -> list[int]:
    assert answer.status == 200
    return [int(row["start"]) for row in answer.json()["candles"]]


@pytest.mark.parametrize("granularity", WIDTHS)
@pytest.mark.parametrize("symbol", ["BTC-USD", "LTC-USDC"])
async def test_candles_are_the_truth_newest_first_in_trimmed_strings(
    serve: Any, market: Any, granularity: str, symbol: str
) -> None:
    product, width = market.find(symbol), WIDTHS[granularity]
    now = product.between(NOON + 60, NOON + 7200)[1].micros / 1e6 + 0.5
    client = await serve(start=now)
    bucket = int(now) // width * width
    truth = client.exchange.truth.minutes(product.symbol, width, NOON - 99 * width, bucket + 1, now)
    rows = (await client.candles(symbol, granularity, NOON - 99 * width, bucket)).json()["candles"]
    assert int(rows[0]["start"]) == bucket  # the one in progress
    assert len(rows) == len(truth) > 5
    for row, expected in zip(reversed(rows), truth, strict=True):
        assert set(row) == {"start", "low", "high", "open", "close", "volume"}
        assert all("e" not in text and text != "" for text in row.values())
        assert all(not text.endswith(("0", ".")) for text in row.values() if "." in text)
        prices = [float(row[name]) for name in ("open", "high", "low", "close")]
        assert (int(row["start"]), *prices, round(float(row["volume"]) * 1e8)) == tuple(expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 0, [0]), (0, 300, range(300, -1, -60)), (1, 300, range(300, 0, -60)), (-59, 299, range(240, -1, -60)),
     (1, 59, []), (300, 0, [])],
)  # fmt: skip
async def test_range_is_inclusive_at_both_ends(serve: Any, start: int, end: int, expected: Any) -> None:
    client = await serve(start=NOON + 3600)
    found = starts(await client.candles("BTC-USD", MINUTES, NOON + start, NOON + end))
    assert found == [NOON + second for second in expected]


async def test_bucket_without_trade_is_absent_and_the_future_is_empty(serve: Any, market: Any) -> None:
    client = await serve(start=NOON + 0.0)
    found = starts(await client.candles("LTC-USD", MINUTES, NOON - 18_000, NOON - 60))
    assert found == [time for time in reversed(market.products["LTC-USD"].times) if NOON - 18_000 <= time < NOON]
    assert len(found) < 300
    assert starts(await client.candles("BTC-USD", MINUTES, NOON + 60, NOON + 600)) == []


@pytest.mark.parametrize("granularity", [MINUTES, "FIVE_MINUTE"])
async def test_at_most_350_candles(serve: Any, granularity: str) -> None:
    client, width = await serve(), WIDTHS[granularity]
    first = NOON - 400 * width
    assert len(starts(await client.candles("BTC-USD", granularity, first, first + 349 * width))) == 350
    assert len(starts(await client.candles("BTC-USD", granularity, first + 1, first + 350 * width))) == 350
    refusal = await client.candles("BTC-USD", granularity, first, first + 350 * width)
    assert refusal.status == 400
    assert refusal.json() == {"error": "INVALID_ARGUMENT", "error_details": TOO_MANY, "message": TOO_MANY}


@pytest.mark.parametrize(
    ("path", "query", "status", "error", "message"),
    [
        ("/market/products/NO-USD", {}, 404, "NOT_FOUND", "Product NO-USD not supported"),
        ("/market/products/NO-USD/ticker", {}, 404, "NOT_FOUND", "Product NO-USD not supported"),
        ("/market/products/NO-USD/candles", {"granularity": MINUTES}, 400, "INVALID_ARGUMENT", "ProductID is invalid"),
        ("/market/products/BTC-USD/candles", {"granularity": "ONE_WEEK"}, 400, "INVALID_ARGUMENT",
         "granularity argument is invalid"),
        ("/market/products/BTC-USD/candles", {}, 400, "INVALID_ARGUMENT", "granularity argument is invalid"),
        ("/market/products/BTC-USD/candles", {"granularity": MINUTES, "start": "x", "end": "1"}, 400,
         "INVALID_ARGUMENT", "start and end argument is invalid"),
    ],
)  # fmt: skip
async def test_errors(serve: Any, path: str, query: dict[str, str], status: int, error: str, message: str) -> None:
    answer = await (await serve()).get(path, **query)
    assert answer.status == status
    assert answer.json() == {"error": error, "error_details": message, "message": message}


@pytest.mark.parametrize("unknown_members", [False, True])
async def test_products_come_in_alias_pairs(serve: Any, market: Any, unknown_members: bool) -> None:
    client = await serve(quirks=replace(Quirks.none(), unknown_members=unknown_members))
    body = (await client.get("/market/products")).json()
    named = {row["product_id"]: row for row in body["products"]}
    assert body["num_products"] == len(body["products"]) == len(named) == 2 * len(market.products)
    assert body["pagination"] is None
    for symbol in market.products:
        assert (named[symbol]["alias"], named[symbol]["alias_to"]) == ("", [f"{symbol}C"])
        assert (named[f"{symbol}C"]["alias"], named[f"{symbol}C"]["alias_to"]) == (symbol, [])
        assert named[symbol]["status"] == "online"
        assert ("a_member_of_next_year" in named[symbol]) is unknown_members
    assert (await client.get("/market/products/BTC-USDC")).json() == named["BTC-USDC"]
    last = client.exchange.truth.minutes("BTC-USD", 60, NOON - 60, NOON, float(NOON))[-1]
    assert float(named["BTC-USD"]["price"]) == last.close


@pytest.mark.parametrize("seed", range(1, 6))
async def test_the_best_known_products_have_the_largest_turnover(serve: Any, seed: int) -> None:
    client = await serve(SyntheticMarket(12, start=NOON, seed=seed, days=2))
    rows = [row for row in (await client.get("/market/products")).json()["products"] if not row["alias"]]
    names = [row["product_id"] for row in rows]
    ranked = sorted(rows, key=lambda row: -float(row["approximate_quote_24h_volume"]))
    largest = [row["product_id"] for row in ranked]
    assert largest[:3] == names[:3] == ["BTC-USD", "ETH-USD", "SOL-USD"]
    assert set(largest[:8]) == set(names[:8])  # what is followed by default is liquid
    prices = [float(row["price"]) for row in ranked[:3]]
    assert prices == sorted(prices, reverse=True)


async def test_last_trades_are_newest_first_and_not_of_the_future(serve: Any, market: Any) -> None:
    client = await serve(start=NOON + 0.3)
    rows = (await client.get("/market/products/ETH-USDC/ticker", limit="1000")).json()["trades"]
    expected = market.products["ETH-USD"].between(NOON - 3600, NOON + 0.3)[-100:]
    assert [int(row["trade_id"]) for row in rows] == [trade.id for trade in reversed(expected)]
    assert {row["product_id"] for row in rows} == {"ETH-USDC"}
    few = (await client.get("/market/products/ETH-USDC/ticker", limit="3")).json()["trades"]
    assert few == rows[:3]


@pytest.mark.parametrize("path", ["/accounts", "/products", "/products/BTC-USD/candles", "/key_permissions"])
async def test_private_paths_want_a_token(serve: Any, path: str) -> None:
    client = await serve()
    refusal = await client.get(path)
    assert (refusal.status, refusal.body) == (401, b"Unauthorized\n")
    assert refusal.content_type == "text/plain"
    assert refusal.headers["Cache-Control"] == "no-store"
    query = {"granularity": MINUTES, "start": str(NOON), "end": str(NOON)}
    assert (await client.get(path, headers=JWT, **query)).status == 200


async def test_accounts_are_paged(serve: Any, market: Any) -> None:
    client = await serve()
    found, cursor, more, pages = [], "", True, 0
    while more:
        query = {"cursor": cursor} if cursor else {}
        page = (await client.get("/accounts", headers=JWT, **query)).json()
        assert page["size"] == len(page["accounts"]) > 0
        found += page["accounts"]
        cursor, more, pages = page["cursor"], page["has_next"], pages + 1
        assert bool(cursor) is more
    assert [account["currency"] for account in found] == [symbol.partition("-")[0] for symbol in market.products]
    assert [float(account["available_balance"]["value"]) > 0 for account in found] == [True] * 3 + [False] * 3
    assert pages == 3


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(("path", "headers", "rate"), [("/time", {}, 10), ("/key_permissions", JWT, 30)])
async def test_throttle(
    serve: Any, monkeypatch: pytest.MonkeyPatch, html: bool, path: str, headers: dict[str, str], rate: int
) -> None:
    """The buckets run on real time; here it is a number, so that the pace is exact."""
    now = 1000.0
    monkeypatch.setattr("livermore_simulator.limits.time", SimpleNamespace(monotonic=lambda: now))
    client = await serve(quirks=replace(Quirks.none(), html_429=html), public_rate=10.0)

    async def asked(pace: float, count: int) -> list[int]:
        nonlocal now
        found = []
        for _ in range(count):
            now += 1 / pace
            found.append((await client.get(path, headers=headers)).status)
        return found

    assert await asked(1e9, rate) == [200] * rate  # the burst
    refusal = await client.get(path, headers=headers)
    assert refusal.status == 429
    assert "Retry-After" not in refusal.headers
    assert refusal.content_type == ("text/html" if html else "application/json")
    assert (b"rate limited" if html else b"rate_limit_exceeded") in refusal.body
    assert await asked(0.99 * rate, 4 * rate) == [200] * 4 * rate
    refused = (await asked(1.3 * rate, 4 * rate)).count(429)
    assert refused == pytest.approx(4 * rate * 0.3 / 1.3, abs=2)
    assert client.exchange.statuses[429] == refused + 1


@pytest.mark.parametrize(
    ("cache", "moments"),
    [
        (True, [60]),
        (True, [60, 90]),
        (False, [60]),
    ],
)
async def test_answers_are_cached_for_a_second_of_exchange_time(
    serve: Any, market: Any, cache: bool, moments: list[int]
) -> None:
    client = await serve(quirks=replace(Quirks.none(), cache=cache))

    async def ask(moment: float, **headers: str) -> tuple[bytes, str | None, str]:
        client.exchange.clock.reach(moment)
        answer = await client.candles("BTC-USD", "ONE_DAY", NOON - 86_400, NOON, **headers)
        return answer.body, answer.headers.get("Age"), answer.headers["Date"]

    for after in moments:
        traded = next(trade.micros for trade in market.products["BTC-USD"].between(NOON + after, NOON + 600)) / 1e6
        first, age, _ = await ask(traded - 0.2)
        assert age is None
        later = traded + 0.7
        again, age, date = await ask(later)
        assert (again == first, age is not None) == (cache, cache)
        assert int(age or 0) <= 1
        assert date == formatdate(int(later), usegmt=True)
        fresh, age, _ = await ask(later, **{"Cache-Control": "no-cache"})
        assert fresh != first
        assert age is None
        assert (await ask(later + 1.1))[1] is None


async def test_rest_lags_for_a_limited_time_and_only_the_newest_rows(serve: Any, market: Any) -> None:
    lag = 45.0
    client = await serve(quirks=replace(Quirks.none(), rest_lag=lag))
    missing, prompt = [], 0
    for position in range(240):
        now = NOON + 7.3 * position
        client.exchange.clock.reach(now)
        first = (int(now) // 60 - 5) * 60
        found = starts(await client.candles("BTC-USD", MINUTES, first, int(now)))
        known = market.products["BTC-USD"]
        there = [row.time for row in client.exchange.truth.minutes(known.symbol, 60, first, int(now) + 1, now)]
        assert found[::-1] == there[: len(found)]
        missing += [now - (time + 60) for time in there[len(found) :]]
        prompt += len(found) == len(there)
    assert max(missing) <= lag
    assert sum(late > 0 for late in missing) > 10
    assert prompt > 100


async def test_date_is_exchange_time(serve: Any) -> None:
    client = await serve(start=NOON + 0.7)
    date = formatdate(NOON, usegmt=True)
    bodies = [await client.get("/time"), await client.get("/time"), await client.get("/market/products/NO-USD")]
    bodies += [await client.candles("BTC-USD", MINUTES, NOON - 60, NOON), await client.get("/accounts")]
    assert {answer.headers["Date"] for answer in bodies} == {date}
    told = {"iso": "2024-01-03T12:00:00Z", "epochSeconds": str(NOON), "epochMillis": f"{NOON}700"}
    assert bodies[0].json() == bodies[1].json() == told
    client.exchange.clock.reach(NOON + 61.0)
    assert (await client.get("/time")).headers["Date"] == formatdate(NOON + 61, usegmt=True)


async def test_faults_for_tests(serve: Any) -> None:
    client = await serve()
    exchange = client.exchange
    exchange.faults.plan([Fault(kind="rest.status", symbol="BTC-USD", code=502, lasts=60.0)])
    assert (await client.candles("BTC-USD", MINUTES, NOON, NOON)).status == 502
    assert (await client.candles("ETH-USD", MINUTES, NOON, NOON)).status == 200
    exchange.faults.plan([Fault(kind="exchange.down")])
    assert (await client.get("/time")).status == 503
    assert [(request[0], request[1], request[4]) for request in exchange.requests] == [
        (NOON, "GET", status) for status in (502, 200, 503)
    ]
    assert exchange.requests[1][3] == f"granularity={MINUTES}&start={NOON}&end={NOON}"
    assert exchange.candle_requests == 2
