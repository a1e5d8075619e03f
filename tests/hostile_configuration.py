"""Hostile configuration: files of lines that fit nowhere, and LIVERMORE_ variables with any value."""

# ruff: noqa: SIM905 - a long list of words reads best as words

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hostile import WORDS, mutated

HEADS = [
    *"exchanges exchanges.coinbase exchanges.nope indicators indicators.ema indicators.macd-v plugins".split(),
    *("retention", "plugins.coinbase", "depth", "a.b", 'indicators."X y"', "timeframes", "[indicators]", "x" * 300),
    "indicators.ema" + ".a" * 40,
]
KEYS = [
    *"store timeframes backfill_timeframes depth stage_timeout log_format log_level retention plugins".split(),
    *"exchanges indicators only disable symbols requests_per_second burst rest_url ws_url api_key_file api_key".split(),
    *"require_view_only trust_env length use 1m 5m ema macd-v sqlite coinbase nope fast slow signal".split(),
    *("exchanges.coinbase.symbols", "retention.5m", "indicators.ema", "indicators.x.use", "a" + ".a" * 40),
]
VALUES = [
    *"0 -1 1 5 300 0.5 1e9 1e308 -1e999 nan -nan inf true false [] {} [1] [[]] [nan] ['1m','5m'] ['1m','1m']".split(),
    *"['BTC-USD','top:3','*-USD','held'] [true] [{}] [''] {use='ema'} {use=[1]} {use={}} {5m=9000} {5m=[1]}".split(),
    *"{1m=1.5} {coinbase={symbols=['x']}} {a={a={a=1}}} 1979-05-27 07:32:00 1979-05-27T07:32:00Z".split(),
    *("9" * 18, "9" * 19, "9" * 4_000, "9" * 5_000, "0x" + "f" * 5_000, "[0x" + "f" * 5_000 + "]", "-" + "9" * 30),
    *("[" * 40 + "]" * 40, "[" * 3_000, "{a=" * 60 + "1" + "}" * 60, "'sqlite:///x'", "'sqlite:///'", "'sqlite://x'"),
    *("'sqlite:////dev/null'", "'sqlite:///~nobody/x'", "'nope://x:y@z/'", "'https://x:99999'", "'https://xn--'"),
    *("'http://127.0.0.1:8080'", "'http://x'", "'https://a b'", "'https://[::1'", "'wss://ws.example/'", '"\\u0000"'),
    *(f"'{word}'" for word in WORDS if "'" not in word),
]
NAMES = [
    *"STORE TIMEFRAMES BACKFILL_TIMEFRAMES DEPTH STAGE_TIMEOUT LOG_FORMAT LOG_LEVEL RETENTION RETENTION__5M".split(),
    *"PLUGINS__ONLY PLUGINS__DISABLE PLUGINS EXCHANGES EXCHANGES__COINBASE EXCHANGES__NOPE__X INDICATORS".split(),
    *"INDICATORS__EMA INDICATORS__EMA__LENGTH INDICATORS__X__USE CONFIG ONLY_PLUGINS TRACE NOPE _ __ ___".split(),
    *(f"EXCHANGES__COINBASE__{name}" for name in "SYMBOLS REQUESTS_PER_SECOND BURST REST_URL WS_URL".split()),
    *(f"EXCHANGES__COINBASE__{name}" for name in "API_KEY API_SECRET API_KEY_FILE TRUST_ENV".split()),
    "A" * 3_000,
]
TEXTS = [
    *(value.strip("'") for value in VALUES),
    *('{"a":1}', '{"length":1e999}', '{"length":NaN}', '{"use":[1]}', '{"coinbase":5}', '{"coinbase":{"burst":[]}}'),
    *('{"a":' * 900 + "1" + "}" * 900, "[" * 900 + "]" * 900, '["\\ud800"]', '{"ws_url":"wss://\\ud800"}', "\udcff"),
    *("~nobody/x", "/dev/null", "/", "\ud800", "sqlite:///\ud800", "\x00", "1m,5m", "1m,,", '["1m",', " ", "a" * 5_000),
    *("sqlite:////tmp/\udcff", "１", "1_0", "0x10", "1e3", "-0", "[null]", "[1e999]", '{"5m":1.5}', '{"5m":1e30}'),
]


def file_of(random: Random, others: Sequence[bytes]) -> bytes:
    """The bytes of a file: lines that may or may not fit together, often damaged."""
    lines: list[str] = []
    for _ in range(random.randrange(1, 6)):
        if random.randrange(3) == 0:
            lines.append(f"[{random.choice(HEADS)}]")
        lines.append(f"{random.choice(KEYS)} = {random.choice(VALUES)}")
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    kind = random.randrange(8)
    if kind == 0:
        return mutated(random, content, others)
    return content.decode("utf-8", "replace").encode("utf-16") if kind == 1 else content


def variables_of(random: Random) -> dict[str, str]:
    """One to three LIVERMORE_ variables."""
    chosen = (random.choice(NAMES) for _ in range(random.randrange(1, 4)))
    return {f"LIVERMORE_{name}": random.choice(TEXTS) for name in chosen}
