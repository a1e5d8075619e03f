"""Hostile frames and bodies: the claims of tests/claims.py on mutations, and what fuzzing has found."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import claims
import pytest
from hostile import RECORDED, Payloads, mutated, payloads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livermore_coinbase.account import key_rights
from livermore_coinbase.catalogue import catalogue
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.moments import moment
from livermore_coinbase.parse import newest_trade
from livermore_coinbase.settings import CoinbaseSettings
from livermore_coinbase.wire import Refusal
from pydantic import ValidationError

from livermore_core import BadResponseError, CandleUpdate, Heartbeat, Lost, Trade

SMALL = settings(derandomize=True, database=None, deadline=None, max_examples=150, suppress_health_check=[*HealthCheck])
RANDOMS = st.randoms(use_true_random=False)
STAMP = "2026-09-30T02:39:53.788217036Z"
NAMES = {"BTC-USD": "BTC-USD"}


@pytest.fixture(scope="module", params=["of our own", "recorded"])
def found(request: pytest.FixtureRequest) -> Payloads:
    if request.param == "of our own":
        return payloads(Path("absent"))
    if not RECORDED.is_file():
        pytest.skip("the recorded samples (shared/data/coinbase-recorded-samples.jsonl) are not on this machine")
    return payloads()


def test_r12_w31_w32_w33_w36_t08_t09_a_mutated_frame_invents_nothing_and_loses_nothing_uncounted(
    found: Payloads,
) -> None:
    @SMALL
    @given(RANDOMS)
    def any_frame(random: Random) -> None:
        claims.frame(mutated(random, random.choice(found.frames), found.frames))

    any_frame()


def test_r09_r11_r12_r19_a_damaged_candle_is_rejected_and_never_proves_its_bucket_empty(found: Payloads) -> None:
    bodies = found.bodies["candles"]

    @SMALL
    @given(RANDOMS, st.sampled_from([(0, 1800, 60), (1748221800, 1748222100, 300), (1696118400, 1699000000, 86400)]))
    def any_page(random: Random, page: tuple[int, int, int]) -> None:
        claims.candles(mutated(random, random.choice(bodies), found.frames), *page)

    any_page()


@pytest.mark.parametrize("endpoint", claims.ENDPOINTS)
def test_r09_r11_a_mutated_body_is_read_or_a_bad_response(found: Payloads, endpoint: str) -> None:
    @settings(SMALL, max_examples=60)
    @given(RANDOMS)
    def any_body(random: Random) -> None:
        body = mutated(random, random.choice(found.bodies[endpoint]), found.frames)
        claims.ENDPOINTS[endpoint](body)

    any_body()


def test_w31_w33_w36_sd01_what_is_unknown_is_counted_and_not_remembered() -> None:
    counts: Counter[str] = Counter()
    reader = Interpreter(claims.NAMES, counts)
    for number in range(10_000):
        product = f"X{number}-USD"
        events: dict[str, Any] = {"type": "update", "trades": [trade(number, product_id=product)]}
        if number % 2:
            events = {"subscriptions": {"market_trades": [product], product: [product]}}
        channel = ("market_trades", "subscriptions", f"{number}" + "x" * 20_000 * (number < 100))[number % 3]
        reader.read(frame(number, channel, events))
    claims.bounded(reader, counts)
    assert sum(counts.values()) >= 6_000


# ---- what was found ----


def frame(number: object, channel: str, *events: object, **more: object) -> str:
    return json.dumps({"channel": channel, "timestamp": STAMP, "sequence_num": number, "events": events} | more)


def trade(number: object, **more: object) -> dict[str, Any]:
    row = {"product_id": "BTC-USD", "trade_id": f"{number}", "price": "5", "size": "0.5", "time": STAMP}
    return row | more


def trades(number: int, *rows: object, **more: object) -> str:
    return frame(number, "market_trades", {"type": "update", "trades": rows}, **more)


ENDS_OF_TIME = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59"]


@pytest.mark.parametrize("text", [*ENDS_OF_TIME, "4026-09-30T02:39:53Z"])
def test_t09_a_moment_beyond_the_calendar_is_none(text: str) -> None:
    assert moment(text) is None
    for number in ("1", "01"):  # at once, and row by row
        found = Interpreter(NAMES).read(trades(0, trade(number, time=text)))
        assert [type(message) for message in found] == [Lost, Heartbeat]
    assert Interpreter(NAMES).read(frame(0, "x", timestamp=text)) == []
    with pytest.raises(BadResponseError):
        newest_trade(json.dumps({"trades": [trade(1, time=text)]}).encode(), "BTC-USD")


def test_t03_sd03_a_stamp_that_leaps_ahead_moves_no_clock_and_many_end_the_connection() -> None:
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    reader.read(frame(0, "heartbeats"))
    wrong = STAMP.replace("2026", "2027")
    assert reader.read(trades(1, trade(1), timestamp=wrong)) == [Trade("BTC-USD", 1, 5.0, 0.5, 1790735993.788217)]
    assert reader.read(trades(2, trade(2, time=wrong)))[0] == Lost(1)
    assert counts == {"ws.bad_frame": 1, "data.rejected": 1}
    assert isinstance(reader.read(frame(3, "heartbeats", timestamp="2026-09-30T14:00:00Z"))[0], Heartbeat)
    for number in range(4, 22):
        assert reader.read(frame(number, "heartbeats", timestamp=wrong)) == []
    with pytest.raises(BadResponseError, match="within a minute"):
        reader.read(frame(22, "heartbeats", timestamp=wrong))


@pytest.mark.parametrize("start", ["7", "-300", "9000000000000", str(2**63)])
def test_r19_w32_a_candle_off_the_grid_of_the_stream_is_rejected(start: str) -> None:
    row = {"start": start, "high": "3", "low": "1", "open": "2", "close": "2", "volume": "9", "product_id": "BTC-USD"}
    counts: Counter[str] = Counter()
    event = {"type": "update", "candles": [row, row | {"start": "300"}]}
    found = Interpreter(NAMES, counts).read(frame(0, "candles", event))
    assert [message.candle.time for message in found if isinstance(message, CandleUpdate)] == [300]
    assert counts == {"data.rejected": 1}


def test_r12_numbers_beyond_64_bits_are_no_ids() -> None:
    for digits in (str(2**63), "9" * 4_000):
        assert Interpreter(NAMES).read(trades(0, trade(digits)))[0] == Lost(1)
        counts: Counter[str] = Counter()
        assert Interpreter(NAMES, counts).read(frame(int(digits), "heartbeats")) == []
        assert counts == {"ws.bad_frame": 1}


def test_w22_a_damaged_frame_seen_before_makes_no_later_one_suspect() -> None:
    reader = Interpreter(NAMES)
    reader.read(trades(0, trade(1)))
    assert reader.read(trades(0, trade(1, price="x"))) == []
    assert [type(message) for message in reader.read(trades(1, trade(2)))] == [Trade, Heartbeat]


@pytest.mark.parametrize("channel", ["market_trades", "candles"])
def test_w33_si03_si06_a_million_rows_are_refused_before_any_is_read(channel: str) -> None:
    rows = {"type": "update", "trades": [0] * 6_000, "candles": [0] * 6_000}
    counts: Counter[str] = Counter()
    Interpreter(NAMES, counts).read(frame(0, channel, rows, rows))
    Interpreter(NAMES, counts).read(frame(0, channel, *[0] * 10_001))
    assert counts == {"data.rejected": 2}


def test_w33_si03_texts_from_outside_are_kept_short() -> None:
    reader = Interpreter(NAMES)
    reader.read(frame(0, "x" * 1_000_000))
    claims.bounded(reader, Counter())
    with pytest.raises(Refusal) as refused:
        reader.read(json.dumps({"type": "error", "message": "x" * 1_000_000}))
    assert len(str(refused.value)) <= 1_000


def test_r12_a_turnover_beyond_all_numbers_ranks_no_product_first() -> None:
    rows = [{"product_id": "A-USD", "volume_24h": "1e300", "price": "1e300"}]
    assert catalogue(json.dumps({"products": rows}).encode()).products[0].quote_volume == 0.0


def test_r11_no_product_vanishes_in_a_circle_of_aliases() -> None:
    pairs = {"A-USD": "A-USD", "B-USD": "C-USD", "C-USD": "B-USD", "D-USD": "E-USD", "E-USD": ""}
    rows = [{"product_id": name, "alias": alias} for name, alias in pairs.items()]
    found = catalogue(json.dumps({"products": rows}).encode())
    assert [product.symbol for product in found.products] == ["A-USD", "B-USD", "C-USD", "E-USD"]
    assert found.canonical == {"D-USD": "E-USD"}


@pytest.mark.parametrize("lacking", ["can_view", "can_trade", "can_transfer"])
def test_r11_c05_a_right_that_is_not_mentioned_is_not_taken_for_a_no(lacking: str) -> None:
    said = {name: False for name in ("can_view", "can_trade", "can_transfer") if name != lacking}
    with pytest.raises(BadResponseError, match=lacking):
        key_rights(json.dumps(said).encode())


@pytest.mark.parametrize(
    "host", ["x:99999", "x:abc", "x:0", "a b", "x\ty", "\x07x", "..", "a%zz", "xn--", "a" * 300], ids=ascii
)
def test_c11_f1_a_url_that_nothing_can_open_is_refused_as_a_setting(host: str) -> None:
    for key, scheme in (("rest_url", "https"), ("ws_url", "wss")):
        with pytest.raises(ValidationError):
            CoinbaseSettings(**{key: f"{scheme}://{host}"})
    assert CoinbaseSettings(rest_url="https://[::1]:8443/x").rest_url == "https://[::1]:8443/x"
