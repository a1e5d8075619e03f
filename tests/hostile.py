"""Hostile input: payloads as an exchange sends them, flipped, cut, spliced and poisoned; configuration likewise."""

# ruff: noqa: SIM905 - a long list of words reads best as words

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "coinbase-recorded-samples.jsonl"
LARGEST = 8_000
ROWS = 12
DIGIT = re.compile(rb"\d")
FIELD = re.compile(rb'"([^"\\]{1,40})": ?("(?:[^"\\]|\\.)*"|[-+.\w]+)')

NUMBERS = b"0 -0 -1 5 1.5 5e0 1e3 1e308 1e999 5e-324 1e-400 NaN -Infinity 0x1F 007 18446744073709551616".split()
WORDS = [
    *"NaN|nan|Infinity|-inf|1e999|-1|0| 5 |5.0|+5|1_0|１２|٣|0x1F|007|1790735993|1790735993788|BTC-USD".split("|"),
    *"update|snapshot|market_trades|candles|subscriptions|heartbeats|error|held|top:0|../..|\\u0000|\\ud800".split("|"),
    "",
    "2016-12-31T23:59:60Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "2026-13-01T00:00:00Z",
    "2023-06-23 20:31:56.122969572 +0000 UTC m=+91717.525857105",
    "２０２６-09-30T02:39:53Z",
    "9" * 5_000,
    "x" * 3_000,
]
DIGITS = [b"9" * count for count in (17, 19, 30, 4_000, 5_000)]
POISON = [
    *(b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'{"a":1}', b"[null]"),
    *NUMBERS,
    *DIGITS,
    *(b"-" + digits for digits in DIGITS),
    *(b'"%b"' % word.encode() for word in WORDS),
]
GARBAGE = [
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\r\n",
    b'"',
    b"\\",
    b"{",
    b"]",
    b",",
]


class Payloads(NamedTuple):
    """What is mutated: frames, and bodies by endpoint. `recorded` says how many come from recordings."""

    frames: list[bytes]
    bodies: dict[str, list[bytes]]
    recorded: int


def payloads(path: Path = RECORDED) -> Payloads:
    """The payloads in the form of the protocol, and the recorded ones where those are on this machine."""
    stamp = "2026-09-30T02:39:53.788217036Z"
    trade = {"product_id": "BTC-USD", "price": "64000.5", "size": "0.25", "side": "BUY", "time": stamp}
    candle = {"open": "2", "high": "3", "low": "1", "close": "2.5", "volume": "10"}
    accounts = [{"currency": "BTC", "available_balance": {"value": "0.1"}, "hold": {"value": "0"}}]
    product = {"status": "online", "alias": "", "alias_to": ["BTC-USDC"], "price": "64000", "volume_24h": "9000"}
    events = {
        "market_trades": {"type": "update", "trades": [trade | {"trade_id": str(number)} for number in (12, 11, 10)]},
        "candles": {"type": "snapshot", "candles": [candle | {"start": "1790735700", "product_id": "BTC-USD"}]},
        "subscriptions": {"subscriptions": {"market_trades": ["BTC-USD", "ETH-USD"]}},
        "heartbeats": {"current_time": "2026-09-30 02:39:56.16 +0000 UTC m=+1", "heartbeat_counter": 1},
        "status": {"type": "snapshot", "products": []},
    }
    frame = {"timestamp": stamp, "sequence_num": 0}
    frames = [_json({"channel": channel} | frame | {"events": [event]}) for channel, event in events.items()]
    frames.append(_json({"type": "error", "message": "rate limit exceeded"}))
    found = Payloads(
        frames,
        {
            "time": [_json({"iso": stamp, "epochSeconds": "1790735993", "epochMillis": "1790735993788"})],
            "candles": [_json({"candles": [candle | {"start": str(time)} for time in range(1200, 0, -60)]})],
            "ticker": [_json({"trades": [trade | {"trade_id": "12"}], "best_bid": "1", "best_ask": "2"})],
            "products": [_json({"products": [{"product_id": "BTC-USD"} | product], "num_products": 1})],
            "accounts": [_json({"accounts": accounts, "has_next": True, "cursor": "two"})],
            "key_permissions": [_json({"can_view": True, "can_trade": False, "can_transfer": False})],
            "errors": [_json({"error": "NOT_FOUND", "error_details": "", "message": "ProductID is invalid"})],
        },
        0,
    )
    lines = path.read_text().splitlines() if path.is_file() else []
    return found._replace(recorded=sum(_add(found, json.loads(line)) for line in lines))


def _add(found: Payloads, sample: dict[str, Any]) -> bool:
    """Take a recorded sample: lists cut, so that a mutation hits something that is read."""
    content = _json(_cut(sample["payload"]))
    if len(content) > LARGEST:
        return False
    if sample["kind"] == "ws":
        found.frames.append(content)
        return True
    kind = next((kind for kind in found.bodies if f'"{kind}"' in content.decode()[:14]), "errors")
    if "epochSeconds" in sample["payload"]:
        kind = "time"
    elif "can_view" in sample["payload"]:
        kind = "key_permissions"
    elif "trades" in sample["payload"]:
        kind = "ticker"
    found.bodies[kind].append(content)
    return True


def _cut(value: Any) -> Any:
    if isinstance(value, list):
        return [_cut(each) for each in value[:ROWS]]
    return {key: _cut(each) for key, each in value.items()} if isinstance(value, dict) else value


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def mutated(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """`data` after one to four mutations; one input in a hundred is the payload as it was."""
    if random.randrange(100) == 0:
        return data
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        data = random.choice(MUTATIONS)(random, data, others)
    return data


def _flip(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    found = bytearray(data or b" ")
    for _ in range(random.choice((1, 1, 2, 8))):
        found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _cut_off(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    place = random.randrange(len(data) + 1)
    return random.choice((data[:place], data[place:]))


def _splice(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other)) :]


def _litter(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(GARBAGE) * random.choice((1, 1, 3)) + data[place:]


def _digit(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    match = DIGIT.search(data, random.randrange(len(data) + 1)) or DIGIT.search(data)
    return data if match is None else data[: match.start()] + b"%d" % random.randrange(10) + data[match.end() :]


def _poison(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return _on_field(random, data, lambda key, value: b'"%b": %b' % (key, random.choice(POISON)))


def _nest(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    depth = random.choice((2, 50, 900, 3_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * random.choice((depth, depth, 0))
    return _on_field(random, data, lambda key, value: b'"%b": %b' % (key, deep))


def _rename(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    name = random.choice((b"x", key_of(random.choice(others), random), b"channel", b"trade_id", b"start", b"type"))
    return _on_field(random, data, lambda key, value: b'"%b": %b' % (name, value))


def _drop(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return _on_field(random, data, lambda key, value: b'"": 0')


def _twice(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    again = random.choice(POISON)
    return _on_field(random, data, lambda key, value: b'"%b": %b, "%b": %b' % (key, again, key, value))


def _more(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return _on_field(random, data, lambda key, value: b'"more": %b, "%b": %b' % (random.choice(POISON), key, value))


MUTATIONS = (_flip, _cut_off, _splice, _litter, _digit, _digit, _poison, _poison, _poison, _nest, _rename, _drop)
MUTATIONS += (_twice, _more)


def _on_field(random: Random, data: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """`data` with one field of scalar value changed."""
    match = FIELD.search(data, random.randrange(len(data) + 1)) or FIELD.search(data)
    return data if match is None else data[: match.start()] + change(match[1], match[2]) + data[match.end() :]


def key_of(data: bytes, random: Random) -> bytes:
    """The name of some field."""
    match = FIELD.search(data, random.randrange(len(data) + 1)) or FIELD.search(data)
    return b"x" if match is None else match[1]
