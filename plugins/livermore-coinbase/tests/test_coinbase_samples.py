"""Every recorded payload is read without an error, and as many values come out as a reader of the samples counts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from livermore_coinbase.account import holdings, key_rights
from livermore_coinbase.catalogue import catalogue
from livermore_coinbase.failures import failure
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.parse import candle_rows, exchange_time, newest_trade
from livermore_coinbase.wire import Refusal

from livermore_core import BadResponseError, Subscribed, Trade

Sample = dict[str, Any]

# (channel, type) -> payloads, trades, candle updates, acknowledged symbols, stamps, refusals
STREAM = {
    ("level2", "snapshot"): (3, 0, 0, 0, 3, 0),
    ("level2", "update"): (6, 0, 0, 0, 6, 0),
    ("subscriptions", "ack"): (17, 0, 0, 8, 17, 0),
    ("market_trades", "snapshot"): (6, 17, 0, 0, 6, 0),
    ("market_trades", "snapshot-tail"): (1, 15, 0, 0, 1, 0),
    ("market_trades", "update"): (13, 76, 0, 0, 13, 0),
    ("market_trades", "subscribe-request"): (1, 0, 0, 0, 0, 0),
    ("market_trades", "unsubscribe-request"): (1, 0, 0, 0, 0, 0),
    ("heartbeats", "update"): (9, 0, 0, 0, 9, 0),
    ("heartbeats", "subscribe-request"): (1, 0, 0, 0, 0, 0),
    ("user", "snapshot"): (2, 0, 0, 0, 2, 0),
    ("ticker", "snapshot"): (5, 0, 0, 0, 5, 0),
    ("ticker", "update"): (55, 0, 0, 0, 55, 0),
    ("ticker", "update-inner"): (2, 0, 0, 0, 0, 0),
    ("ticker_batch", "snapshot"): (2, 0, 0, 0, 2, 0),
    ("candles", "update"): (12, 0, 12, 0, 12, 0),
    ("candles", "snapshot"): (2, 0, 2, 0, 2, 0),
    ("candles", "snapshot-summary"): (5, 0, 0, 0, 0, 0),
    ("candles", "subscribe-request"): (1, 0, 0, 0, 0, 0),
    ("status", "snapshot"): (1, 0, 0, 0, 1, 0),
    ("(none)", "error"): (3, 0, 0, 0, 0, 3),
}
# endpoint after /api/v3/brokerage, without query and options -> payloads, values
REST = {
    ("/time", "response"): (2, 2),
    ("/market/products/{product_id}", "response"): (2, 2),
    ("/market/products", "response"): (2, 3),
    ("/accounts", "response"): (4, 5),
    ("/key_permissions", "response"): (1, 1),
    ("/market/products/{product_id}/candles", "response"): (2, 2),
    ("/market/products/BTC-USD/candles", "response"): (1, 118),
    ("/market/products/BTC-USD/candles", "response-merged"): (1, 11),
    ("/market/products/ETH-USD/candles", "response"): (1, 350),
    ("/products/{product_id}/candles", "response-excerpt"): (1, 1),
    ("/market/products/{product_id}/ticker", "response"): (2, 2),
    ("/products/{product_id}/ticker", "response"): (2, 2),
}
ERRORS = {
    ("/products", 401): "CredentialsError",
    ("/products", 400): "PermanentError",
    ("/products/{product_id}/candles", 400): "PermanentError UnknownSymbolError",
    ("/product_book", 404): "UnknownSymbolError",
    ("/market/products/NOPE-USD", 404): "UnknownSymbolError",
    ("/accounts", 403): "CredentialsError",
    ("any", 429): "RateLimitedError",
}
NOT_SPOKEN = {"/orders/historical/batch", "/orders/historical/fills", "/market/product_book", "/best_bid_ask"}


def endpoint(sample: Sample) -> str:
    return str(sample["channel_or_endpoint"]).removeprefix("GET /api/v3/brokerage").split("?")[0].split(" ")[0]


def messages(sample: Sample) -> list[object]:
    """What a new connection makes of one payload, for the products that the payload names."""
    payload = sample["payload"]
    if "events" in payload and "channel" not in payload:  # the recorder kept only the inner part
        payload = payload | {"channel": "candles", "timestamp": "2026-01-22T14:50:01Z", "sequence_num": 0}
    text = json.dumps(payload)
    names = {word: word for word in text.split('"') if "-" in word and word.isupper()}
    try:
        return list(Interpreter(names).read(text))
    except Refusal as refusal:
        return [refusal]


def test_every_stream_payload_is_read(samples: list[Sample]) -> None:
    found = {key: [0, 0, 0, 0, 0, 0] for key in STREAM}
    for sample in (sample for sample in samples if sample["kind"] == "ws"):
        row = found[sample["channel_or_endpoint"], sample["type"]]
        row[0] += 1
        for message in messages(sample):
            kinds = ["Trade", "CandleUpdate", "Subscribed", "Heartbeat", "Refusal", "Lost"]
            place = kinds.index(type(message).__name__) + 1
            if place < 6:
                row[place] += len(message.symbols) if isinstance(message, Subscribed) else 1
    assert {key: tuple(row) for key, row in found.items()} == STREAM


def test_r13_recorded_trades_come_out_by_ascending_id(samples: list[Sample]) -> None:
    batches = [messages(sample) for sample in samples if sample["channel_or_endpoint"] == "market_trades"]
    ids = [[message.id for message in batch if isinstance(message, Trade)] for batch in batches]
    assert max(map(len, ids)) == 57
    assert all(batch == sorted(batch) for batch in ids)


def values(path: str, body: bytes) -> int:
    """How many values the client reads from an answer of `path`."""
    if path == "/time":
        return int(exchange_time(body) > 1.7e9)
    if path == "/accounts":
        return len(holdings(body).currencies)
    if path == "/key_permissions":
        return int(key_rights(body).can_view)
    if path.endswith("/ticker"):
        return int(newest_trade(body, "BTC-USD") is not None)
    if path.endswith("/candles"):
        return len(candle_rows(body, 0, 2**32, 60).rows)
    body = body if b'"products"' in body else b'{"products":[' + body + b"]}"
    return len(catalogue(body).products)


def test_every_rest_answer_is_read(samples: list[Sample]) -> None:
    found: Counter[tuple[str, str]] = Counter()
    payloads: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        path = endpoint(sample)
        if sample["kind"] == "rest" and sample["type"] != "error" and path not in NOT_SPOKEN:
            payloads[path, sample["type"]] += 1
            found[path, sample["type"]] += values(path, json.dumps(sample["payload"]).encode())
    assert {key: (payloads[key], found[key]) for key in payloads} == REST


def test_every_recorded_error_has_its_class(samples: list[Sample]) -> None:
    found: dict[tuple[str, int], set[str]] = {}
    for sample in (sample for sample in samples if sample["kind"] == "rest" and sample["type"] == "error"):
        text = sample["payload"] if isinstance(sample["payload"], str) else json.dumps(sample["payload"])
        headers = {"Content-Type": "text/plain" if isinstance(sample["payload"], str) else "application/json"}
        symbol = "NOPE-USD" if endpoint(sample) not in ("/products", "any", "/accounts") else None
        error = failure(sample["http_status"], headers, text.encode(), signed=True, symbol=symbol)
        names = {name.__name__ for name in type(error).__mro__} & set(" ".join(ERRORS.values()).split())
        names -= {"PermanentError"} if "UnknownSymbolError" in names else set()
        found.setdefault((endpoint(sample), sample["http_status"]), set()).update(names)
    assert {key: " ".join(sorted(names)) for key, names in found.items()} == ERRORS


def test_r11_answers_of_other_endpoints_are_refused_by_shape(samples: list[Sample]) -> None:
    others = [sample for sample in samples if endpoint(sample) in NOT_SPOKEN and sample["type"] != "error"]
    assert len(others) == 5
    for sample in others:
        with pytest.raises(BadResponseError, match=r"rest\.bad_response"):
            candle_rows(json.dumps(sample["payload"]).encode(), 0, 60, 60)


def test_the_table_covers_all_183_samples(samples: list[Sample]) -> None:
    answers = sum(row[0] for row in REST.values())
    errors = sum(sample["kind"] == "rest" and sample["type"] == "error" for sample in samples)
    assert sum(row[0] for row in STREAM.values()) + answers + errors + 5 == len(samples) == 183
