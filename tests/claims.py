"""What must hold whatever arrives, judged by Python's own JSON reader: nothing invented, nothing lost uncounted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import click
from livermore_coinbase.account import holdings, key_rights
from livermore_coinbase.catalogue import catalogue
from livermore_coinbase.failures import failure
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.moments import http_date, moment, retry_after
from livermore_coinbase.parse import candle_rows, exchange_time, newest_trade
from livermore_coinbase.wire import Refusal
from reading import Object, number_of, numbers_of, parsed, rows_of, stands
from yarl import URL

from livermore_core import (
    BadResponseError,
    Candle,
    CandleUpdate,
    ConfigurationError,
    Heartbeat,
    Lost,
    Subscribed,
    Trade,
    is_symbol,
)
from livermore_core.cli.history_file import read_history
from livermore_core.config import Settings, effective, load, plugin_table
from livermore_core.plugins import Plugins

NAMES = {name: name.replace("USDC", "USD") for name in ("BTC-USD", "BTC-USDC", "ETH-USD", "SOL-USD", "ADA-USDC")}
ROWS: dict[str, tuple[type, str]] = {"market_trades": (Trade, "trades"), "candles": (CandleUpdate, "candles")}
LATEST = 2**33
SILENT = {"heartbeats", "subscriptions", "market_trades", "candles"}
"""Channels of which a frame may be empty and say no time: nothing of it is lost."""
COUNTERS = {"ws.bad_frame", "ws.unknown", "ws.unwanted", "ws.out_of_order", "data.rejected"}


def frame(data: bytes) -> None:
    """One frame on a connection of its own."""
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    try:
        messages = reader.read(data)
    except Refusal:
        assert b"error" in data, "a refusal that nobody sent"
        return
    said, objects = parsed(data)
    channel = str(said.get("channel")) if isinstance(said, dict) else ""
    assert messages or counts or channel in SILENT, "dropped and not counted"
    assert set(counts) <= COUNTERS, counts
    for message in messages:
        _message(message, objects)
    if channel in ROWS:
        rows = sum(isinstance(message, ROWS[channel][0]) for message in messages)
        assert rows >= rows_of(said, ROWS[channel][1]) or counts, "a row is gone and not counted"
    if counts["data.rejected"] and messages and channel == "market_trades":
        assert any(isinstance(message, Lost) for message in messages), "a trade that cannot be read is no loss"


def bounded(reader: Interpreter, counts: Counter[str]) -> None:
    """What an interpreter remembers has bounds, whatever it was fed."""
    state = vars(reader)
    assert set(counts) <= COUNTERS
    assert reader.acknowledged <= set(NAMES.values())
    for name, value in state.items():
        if isinstance(value, set | frozenset | dict | list) or hasattr(value, "maxlen"):
            assert len(value) <= 64, f"{name} grows"
            assert sum(len(each) for each in value if isinstance(each, str)) <= 64 * 300, f"{name} keeps long texts"


def candles(data: bytes, start: int, end: int, step: int) -> None:
    """An answer with the candles of [start, end)."""
    try:
        found = candle_rows(data, start, end, step)
    except BadResponseError:
        return
    said, objects = parsed(data)
    times = [row.time for row in found.rows]
    assert times == sorted(set(times)), "not ascending"
    assert not set(times) & set(found.rejected), "both a row and rejected"
    for time in (*times, *found.rejected):
        assert start <= time < end, f"{time} was not asked for"
        assert time % step == 0, f"{time} is off the grid"
    for row in found.rows:
        _candle(row, objects)
    told = {*times, *found.rejected}
    for bucket in _buckets(said, start, end, step):
        assert bucket in told, f"{bucket} has a row that cannot be used, and would be proven empty"


def products(data: bytes) -> None:
    """An answer with the products."""
    try:
        found = catalogue(data)
    except BadResponseError:
        return
    symbols = [product.symbol for product in found.products]
    assert len(set(symbols)) == len(symbols)
    assert not set(symbols) & set(found.canonical), "a product and an alias"
    assert set(found.canonical.values()) <= set(symbols), "an alias of nothing"
    for product in found.products:
        assert is_symbol(product.symbol)
        assert isfinite(product.quote_volume), product
        assert product.quote_volume >= 0.0, product
    said, _ = parsed(data)
    rows = said["products"] if isinstance(said, dict) else []
    named = {str(row.get("product_id")) for row in rows if isinstance(row, dict)} & set(found.canonical)
    assert len(rows) <= len(symbols) + len(named) + found.rejected, "a row is gone and not counted"


def ticker(data: bytes) -> None:
    """An answer with the newest trades."""
    try:
        found = newest_trade(data, "BTC-USD")
    except BadResponseError:
        return
    if found is not None:
        _message(found, parsed(data)[1])


def clock(data: bytes) -> None:
    """An answer with the time."""
    try:
        found = exchange_time(data)
    except BadResponseError:
        return
    assert 0.0 < found < LATEST + 2
    _, objects = parsed(data)
    millis, seconds = numbers_of(objects, "epochMillis"), numbers_of(objects, "epochSeconds")
    assert objects is None or found in [*(each / 1000.0 for each in millis), *seconds], f"{found} stands nowhere"


def accounts(data: bytes) -> None:
    """An answer with the accounts."""
    try:
        found = holdings(data)
    except BadResponseError:
        return
    _, objects = parsed(data)
    if objects is not None:
        texts = [text for each in objects for text in each.get("currency", ())]
        assert all(currency in texts for currency in found.currencies), found


def rights(data: bytes) -> None:
    """An answer with what the key may do: what it does not say is not taken for a no."""
    try:
        found = key_rights(data)
    except BadResponseError:
        return
    said, _ = parsed(data)
    for name in ("can_view", "can_trade", "can_transfer"):
        assert said is None or said[name] is getattr(found, name), name


def refusal(data: bytes) -> None:
    """Any body of an error, any text of a header."""
    text = data.decode("latin-1")
    for headers in ({"Content-Type": "application/json", "Retry-After": text, "Date": text}, {"Content-Type": text}):
        for status in (302, 400, 401, 429, 503):
            said = str(failure(status, headers, data, signed=True, symbol="BTC-USD"))
            assert said.isascii(), said
            assert said.isprintable(), said
            assert len(said) < 500, said
    assert moment(text) is None or isfinite(moment(text) or 0.0)
    assert http_date(text) is None or isfinite(http_date(text) or 0.0)
    assert retry_after(text, 1.0) is None or 1.0 <= (retry_after(text, 1.0) or 0.0) <= 300.0


def configuration(plugins: Plugins, file: Path, content: bytes, environ: Mapping[str, str]) -> None:
    """A file and an environment: settings that can be used, or ConfigurationError with a place in each line."""
    file.write_bytes(content)
    plugin_table(file, environ)
    try:
        found = load(plugins, file=file, environ=environ)
    except ConfigurationError as error:
        _placed(str(error), file)
        return
    assert isinstance(found, Settings)
    json.dumps(effective(found), default=str).encode()
    assert found.history <= 100_000, "more history than anything may ask for"
    assert all(0 < kept < 2**63 for kept in found.retention.values()), "more than a store can count"
    for name in ("rest_url", "ws_url"):
        url = URL(getattr(found.exchanges["coinbase"], name))
        assert url.host, url


def history(file: Path, content: bytes) -> None:
    """A file of candles to import: the place of what is wrong, or buckets that have ended and candles that can be."""
    file.write_bytes(content)
    try:
        found = read_history(file, "1m", LATEST)
    except click.UsageError as error:
        _told_of_history(error.message, file)
        return
    rows = sum(content.count(each) for each in (b"\n", b"\r", b"{")) + 1
    assert 0 < len(found.buckets) + found.repeated <= rows, "a row that nobody sent"
    for time, candle in found.buckets.items():
        assert time % 60 == 0, f"{time} is off the grid"
        assert 0 <= time <= LATEST - 60
        if candle is not None:
            assert (candle.time, candle.source) == (time, "import")
            assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
            assert isfinite(candle.high), candle
            assert 0 < candle.volume < float("inf"), candle


def _told_of_history(said: str, file: Path) -> None:
    assert re.match(rf"{file}(:[0-9]+)?: ", said), f"no place: {said[:200]}"
    assert said.isprintable(), said


def _placed(said: str, file: Path) -> None:
    for line in said.split("\n"):
        assert line.startswith((str(file), "LIVERMORE_", "plugin '")), f"no place: {line[:200]}"
        assert len(line) < 20_000, "a line without end"


def _message(message: object, objects: list[Object] | None) -> None:
    if isinstance(message, Trade):
        values = [(message.id, "trade_id"), (message.price, "price"), (message.size, "size")]
        assert all(isfinite(value) and value > 0 for value in (message.price, message.size)), message
        assert 0 <= message.id < 2**63, "no id that a store could keep"
        assert 0 < message.time < LATEST, message
        assert stands(values, (message.time, "time"), objects), f"{message} does not stand in what was sent"
    elif isinstance(message, CandleUpdate):
        assert message.candle.time % 300 == 0, message
        _candle(message.candle, objects)
    elif isinstance(message, Heartbeat):
        assert 0 < message.stamp < LATEST, message
        assert stands([], (message.stamp, "timestamp"), objects), f"{message} does not stand in what was sent"
    elif isinstance(message, Lost):
        assert 0 < message.count < 2**63
    else:
        assert isinstance(message, Subscribed)
        assert message.symbols <= set(NAMES.values())


def _candle(found: Candle, objects: list[Object] | None) -> None:
    values = [(getattr(found, name), name) for name in ("open", "high", "low", "close", "volume")]
    assert all(isfinite(value) and value > 0 for value, _ in values), found
    assert found.low <= min(found.open, found.close) <= max(found.open, found.close) <= found.high, found
    assert 0 <= found.time <= LATEST
    assert stands([*values, (found.time, "start")], None, objects), f"{found} does not stand in what was sent"


def _buckets(said: Any, start: int, end: int, step: int) -> Iterator[int]:
    """The buckets of which a row of the answer speaks; all of them where a row does not say of which."""
    for row in said["candles"] if said is not None else ():
        time = number_of(row.get("start")) if isinstance(row, dict) else None
        if time is None or time % 1 or not 0 <= time <= LATEST:
            yield from range(start, end, step)
        elif start <= time < end:
            yield int(time - time % step)


ENDPOINTS = {
    "time": clock,
    "ticker": ticker,
    "products": products,
    "accounts": accounts,
    "key_permissions": rights,
    "errors": refusal,
}
