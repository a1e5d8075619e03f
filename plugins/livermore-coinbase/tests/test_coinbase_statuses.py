"""Which error each status, header and body of a REST answer is."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aioresponses import aioresponses
from livermore_coinbase.client import CoinbaseClient, open_client
from livermore_coinbase.settings import CoinbaseSettings

from livermore_core import (
    BadResponseError,
    LivermoreError,
    PermanentError,
    RateLimitedError,
    TransientError,
    UnknownSymbolError,
)

URL = (
    "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USD/candles"
    "?start=0&end=59&granularity=ONE_MINUTE&limit=350"
)
DATE = "Wed, 30 Sep 2026 02:39:53 GMT"
GOOD = b'{"candles":[{"start":"0","low":"1","high":"3","open":"2","close":"2.5","volume":"10"}]}'


class Response(aiohttp.ClientResponse):
    """aioresponses leaves out an argument that newer versions of aiohttp need."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            more.setdefault("stream_writer", mock.Mock(output_size=0))
        super().__init__(*arguments, **more)


class Answers:
    """Gives the next answers to the one URL that is asked for."""

    def __init__(self, mocked: aioresponses) -> None:
        self.mocked = mocked

    def give(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        named = {"Date": DATE, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.mocked.get(URL, status=status, body=body, content_type=kind, headers=named, response_class=Response)


@pytest.fixture
def answers() -> Any:
    with aioresponses() as mocked:
        yield Answers(mocked)


@pytest.fixture
async def public() -> AsyncIterator[CoinbaseClient]:
    async with open_client(CoinbaseSettings()) as client:
        yield client


async def refusal(client: CoinbaseClient) -> LivermoreError:
    with pytest.raises(LivermoreError) as caught:
        await client.candles("BTC-USD", "1m", 0, 60)
    return caught.value


async def test_a_good_answer_is_dated_by_the_server(answers: Answers, public: CoinbaseClient) -> None:
    answers.give(200, GOOD)
    page = await public.candles("BTC-USD", "1m", 0, 60)
    assert ([candle.time for candle in page.rows], page.moment) == ([0], 1790735993.0)


@pytest.mark.parametrize(("age", "older"), [("7", 7.0), ("0", 0.0), ("x", 0.0), ("-3", 0.0), ("9" * 50, 86_400.0)])
async def test_r23_a_cached_answer_is_older_by_its_age(
    answers: Answers, public: CoinbaseClient, age: str, older: float
) -> None:
    answers.give(200, GOOD, Age=age)
    assert (await public.candles("BTC-USD", "1m", 0, 60)).moment == 1790735993.0 - older


async def test_an_undated_answer_proves_nothing(answers: Answers, public: CoinbaseClient) -> None:
    answers.give(200, GOOD, Date="yesterday")
    assert isinstance(await refusal(public), BadResponseError)


CASES: list[tuple[int, bytes, str, type[LivermoreError], str]] = [
    (500, b'{"error":"INTERNAL"}', "application/json", TransientError, "INTERNAL"),
    (502, b"<html>", "text/html", TransientError, "502 text/html"),
    (503, b"", "text/plain", TransientError, "503"),
    (504, b"", "", TransientError, "504"),
    (520, b"<html>", "text/html", TransientError, "520"),
    (408, b"", "text/plain", TransientError, "408"),
    (401, b"Unauthorized\n", "text/plain", TransientError, "401"),
    (403, b"<html>challenge", "text/html", TransientError, "403 text/html"),
    (
        400,
        b'{"error":"INVALID_ARGUMENT","error_details":"ProductID is invalid"}',
        "application/json",
        UnknownSymbolError,
        "BTC-USD",
    ),
    (
        404,
        b'{"error":"NOT_FOUND","message":"Product X not supported"}',
        "application/json",
        UnknownSymbolError,
        "BTC-USD",
    ),
    (400, b'{"error_details":"granularity argument is invalid"}', "application/json", PermanentError, "granularity"),
    (400, b"{", "application/json", PermanentError, "unreadable JSON"),
    (410, b"", "text/plain", PermanentError, "410"),
    (302, b"", "text/html", TransientError, "bad_redirect"),
    (204, b"", "text/plain", TransientError, "204"),
    (200, b"<html>login", "text/html", BadResponseError, "text/html"),
    (200, b'{"candles":', "application/json", BadResponseError, "bad_response"),
    (200, b'{"error":"x"}', "application/json", BadResponseError, "bad_response"),
]


@pytest.mark.parametrize(("status", "body", "kind", "error", "said"), CASES)
async def test_r04_r10_r11_r24_r26_the_error_follows_from_the_status_first(
    answers: Answers,
    public: CoinbaseClient,
    status: int,
    body: bytes,
    kind: str,
    error: type[LivermoreError],
    said: str,
) -> None:
    answers.give(status, body, kind, Location="http://elsewhere.example/")
    found = await refusal(public)
    assert type(found) is error
    assert said in str(found)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>429 Too Many Requests</body></html>", "text/html"),
        (b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}', "application/json"),
        (b"", "text/plain"),
    ],
)
async def test_r01_r02_a_429_says_how_long_to_wait_whatever_its_body(
    answers: Answers, public: CoinbaseClient, body: bytes, kind: str
) -> None:
    waits: list[float | None] = []
    for header in ({"Retry_After": "7"}, {}, {"Retry_After": "Wed, 30 Sep 2026 02:40:03 GMT"}, {"Retry_After": "soon"}):
        answers.give(429, body, kind, **header)
        found = await refusal(public)
        assert isinstance(found, RateLimitedError)
        waits.append(found.retry_after)
    assert waits == [7.0, None, 10.0, None]


async def test_r10_sf01_a_body_is_shown_escaped_cut_and_without_tokens(
    answers: Answers, public: CoinbaseClient
) -> None:
    evil = "\\u001b[31m\\r\\n" + "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln " + "x" * 5000
    answers.give(400, b'{"message":"' + evil.encode() + b'"}')
    said = str(await refusal(public))
    assert said.isprintable()
    assert len(said) < 300
    assert "eyJ" not in said


async def test_r14_a_page_that_contradicts_itself_is_asked_for_once_more(
    answers: Answers, public: CoinbaseClient
) -> None:
    twice = GOOD[:-2] + b',{"start":"0","low":"1","high":"3","open":"2","close":"3","volume":"10"}]}'
    answers.give(200, twice)
    answers.give(200, GOOD)
    assert [candle.close for candle in (await public.candles("BTC-USD", "1m", 0, 60)).rows] == [2.5]
    assert public.counts["data.conflict"] == 0
    answers.give(200, twice)
    answers.give(200, twice)
    assert [candle.close for candle in (await public.candles("BTC-USD", "1m", 0, 60)).rows] == [3.0]
    assert public.counts["data.conflict"] == 1
