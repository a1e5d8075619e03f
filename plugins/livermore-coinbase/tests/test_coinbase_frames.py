"""What WebSocket frames become: order, holes, acknowledgements, and what is ignored, dropped and counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.wire import Refusal

from livermore_core import BadResponseError, Candle, CandleUpdate, Heartbeat, Lost, Subscribed, Trade

STAMP = "2026-09-30T02:39:53.788217036Z"
BEAT = Heartbeat(1790735993.788217)
NAMES = {"BTC-USD": "BTC-USD", "BTC-USDC": "BTC-USD", "ETH-USD": "ETH-USD"}


def frame(number: int, channel: str, *events: object, **more: object) -> str:
    return json.dumps({"channel": channel, "timestamp": STAMP, "sequence_num": number, "events": list(events)} | more)


def trade(number: object, product: str = "BTC-USD", **more: object) -> dict[str, Any]:
    found = {"product_id": product, "trade_id": str(number), "price": "5", "size": "0.5", "side": "BUY"}
    return found | {"time": "2026-09-30T02:39:53.35Z"} | more


def trades(number: int, *rows: object, kind: str = "update") -> str:
    return frame(number, "market_trades", {"type": kind, "trades": list(rows)})


def beat(number: int) -> str:
    return frame(
        number, "heartbeats", {"current_time": "2026-09-30 02:39:56.16 +0000 UTC m=+1", "heartbeat_counter": 1}
    )


def ids(messages: list[Any]) -> list[int]:
    return [message.id for message in messages if isinstance(message, Trade)]


def test_r13_trades_come_by_ascending_id_and_then_the_stamp() -> None:
    found = Interpreter(NAMES).read(trades(0, trade(3), trade(2), trade(1), kind="snapshot"))
    assert found[0] == Trade("BTC-USD", 1, 5.0, 0.5, 1790735993.35)
    assert ids(found) == [1, 2, 3]
    assert found[-1] == BEAT
    assert len(found) == 4


def test_trades_of_several_events_are_ordered_together() -> None:
    text = frame(0, "market_trades", *({"type": "update", "trades": [trade(number)]} for number in (2, 1)))
    assert ids(Interpreter(NAMES).read(text)) == [1, 2]


def test_w20_a_jump_tells_how_many_frames_are_missing_before_the_content() -> None:
    reader = Interpreter(NAMES)
    assert reader.read(beat(0)) == [BEAT]
    assert [type(message) for message in reader.read(trades(4, trade(1)))] == [Lost, Trade, Heartbeat]
    assert reader.read(beat(7))[0] == Lost(2)


def test_w20_frames_missing_before_the_first_are_missed_too() -> None:
    assert Interpreter(NAMES).read(beat(2)) == [Lost(2), BEAT]


def test_w21_the_first_frame_of_another_connection_has_number_0_again() -> None:
    assert Interpreter(NAMES).read(beat(0)) == Interpreter(NAMES).read(beat(0)) == [BEAT]


def test_w22_w23_a_frame_seen_before_or_overtaken_is_dropped() -> None:
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    reader.read(trades(0, trade(1)))
    reader.read(trades(2, trade(3)))
    assert reader.read(trades(2, trade(3))) == []
    assert reader.read(trades(1, trade(2))) == []
    assert reader.read(trades(3, trade(4)))[0] == Trade("BTC-USD", 4, 5.0, 0.5, 1790735993.35)
    assert counts["ws.out_of_order"] == 2


def test_numbers_that_begin_anew_inside_a_connection_end_it() -> None:
    reader = Interpreter(NAMES)
    reader.read(beat(500))
    for number in range(19):
        assert reader.read(beat(number)) == []
    with pytest.raises(BadResponseError, match="went back"):
        reader.read(beat(19))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60))
def test_w20_holes_and_frames_add_up_to_the_highest_number(numbers: list[int]) -> None:
    reader, seen, lost = Interpreter(NAMES), 0, 0
    for number in numbers:
        try:
            found = reader.read(beat(number))
        except BadResponseError:
            break
        seen += BEAT in found
        lost += sum(message.count for message in found if isinstance(message, Lost))
        assert seen + lost == max(seen + lost, number + 1)
    assert seen + lost <= max(numbers) + 1


def test_w16_acknowledgements_are_cumulative_and_each_symbol_is_told_once() -> None:
    reader = Interpreter(NAMES)
    acks = [{"heartbeats": ["heartbeats"]}, {"market_trades": ["BTC-USD"]}, {"market_trades": ["BTC-USD", "ETH-USD"]}]
    found = [reader.read(frame(n, "subscriptions", {"subscriptions": ack})) for n, ack in enumerate(acks)]
    assert found == [[BEAT], [Subscribed(frozenset({"BTC-USD"})), BEAT], [Subscribed(frozenset({"ETH-USD"})), BEAT]]
    assert reader.acknowledged == {"BTC-USD", "ETH-USD"}
    assert reader.acknowledgements == 3


def test_candles_are_updates_of_the_5m_bucket_in_time_order() -> None:
    rows = [
        {"start": start, "high": "3", "low": "1", "open": "2", "close": "2", "volume": "9", "product_id": "ETH-USD"}
        for start in ("600", "300")
    ]
    found = Interpreter(NAMES).read(frame(0, "candles", {"type": "snapshot", "candles": rows}))
    candles = [Candle(time, 2.0, 3.0, 1.0, 2.0, 9.0) for time in (300, 600)]
    assert found == [*(CandleUpdate("ETH-USD", "5m", candle) for candle in candles), BEAT]


def test_w36_an_alias_on_the_wire_is_the_symbol_wished_for_and_others_are_ignored() -> None:
    counts: Counter[str] = Counter()
    found = Interpreter(NAMES, counts).read(trades(0, trade(1, "BTC-USDC"), trade(2, "DOGE-USD"), trade(3, "'; DROP")))
    assert [(message.symbol, message.id) for message in found if isinstance(message, Trade)] == [("BTC-USD", 1)]
    assert counts["ws.unwanted"] == 2


@pytest.mark.parametrize(
    "text",
    [
        frame(0, "brand_new", {"a": 1}),
        frame(0, "l2_data", {"type": "update", "product_id": "BTC-USD", "updates": []}),
        frame(0, "market_trades", {"type": "correction", "trades": [trade(1)]}),
        frame(0, "candles", {"type": "correction", "candles": []}),
    ],
)
def test_w31_unknown_channels_and_types_are_ignored_but_their_number_and_stamp_count(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    assert reader.read(text) == [BEAT]
    assert reader.read(text.replace('"sequence_num": 0', '"sequence_num": 1')) == [BEAT]
    assert counts["ws.unknown"] == 2
    assert len(caplog.records) == 1  # one line per kind


def test_w31_extra_members_change_nothing() -> None:
    text = frame(0, "market_trades", {"type": "update", "trades": [trade(1, x={})], "y": []}, client_id="", z=None)
    assert ids(Interpreter(NAMES).read(text)) == [1]


def test_a_message_without_channel_and_number_of_an_unknown_type_is_ignored() -> None:
    counts: Counter[str] = Counter()
    assert Interpreter(NAMES, counts).read('{"type":"notice","message":"x"}') == []
    assert counts == {"ws.unknown": 1}


@pytest.mark.parametrize("text", ["authentication failure", "failure to subscribe"])
def test_an_error_frame_is_a_refusal_and_takes_no_number(text: str) -> None:
    reader = Interpreter(NAMES)
    reader.read(beat(0))
    with pytest.raises(Refusal, match=text):
        reader.read(json.dumps({"type": "error", "message": text}))
    assert reader.read(beat(1)) == [BEAT]


BAD: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"{",
    b"{}",
    b'{"channel":"heartbeats"}',
    b'{"channel":5,"sequence_num":0}',
    b'{"channel":"heartbeats","sequence_num":"x"}',
    b'{"channel":"ticker","sequence_num":1e400}',
    b'\xff\xfe{"channel":"heartbeats"}',
    b"[" * 200_000,
    b'{"channel":"x","sequence_num":0,"events":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"channel":"market_trades","sequence_num":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:24]))
def test_w32_w33_si03_a_bad_frame_is_dropped_and_counted(data: bytes) -> None:
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    assert reader.read(data) == []
    assert counts["ws.bad_frame"] == 1
    assert reader.read(beat(0)) == [BEAT]


def test_w32_twenty_bad_frames_within_a_minute_end_the_connection() -> None:
    now = 0.0
    reader = Interpreter(NAMES, clock=lambda: now)
    for _ in range(40):  # one each 4 s: never twenty within a minute
        now += 4.0
        reader.read("null")
    for _ in range(8):  # with eleven of the slow ones: nineteen within a minute
        now += 2.0
        reader.read("null")
    now += 2.0
    with pytest.raises(BadResponseError, match=r"ws\.bad_frame"):
        reader.read("null")


def test_w33_si03_more_rows_than_any_frame_has_are_refused() -> None:
    counts: Counter[str] = Counter()
    assert Interpreter(NAMES, counts).read(trades(0, *[trade(1)] * 10_001)) == [Lost(1), BEAT]
    assert counts["data.rejected"] == 1


@pytest.mark.parametrize(
    "poison",
    [
        {"price": "NaN"},
        {"price": "Infinity"},
        {"price": "0"},
        {"price": "-1"},
        {"size": "0"},
        {"size": "1_0"},
        {"price": "1e999"},
        {"price": "５"},
        {"trade_id": "x"},
        {"trade_id": "-7"},
        {"time": "yesterday"},
        {"time": None},
        {"product_id": 7},
    ],
    ids=str,
)
def test_r12_si04_a_poisoned_trade_costs_only_itself_and_counts_as_lost(poison: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    found = Interpreter(NAMES, counts).read(trades(0, trade(3), trade(2, **poison), trade(1)))
    assert ids(found) == [1, 3]
    assert found[-2:] == [Lost(1), BEAT]
    assert counts["data.rejected"] == 1


def test_r12_a_poisoned_candle_costs_only_itself() -> None:
    good = {"start": "300", "high": "3", "low": "1", "open": "2", "close": "2", "volume": "9", "product_id": "ETH-USD"}
    bad = [good | {"volume": "NaN"}, good | {"high": "1"}, good | {"start": "x"}, 5]
    counts: Counter[str] = Counter()
    reader = Interpreter(NAMES, counts)
    found = reader.read(frame(0, "candles", {"type": "update", "candles": [*bad, good]}))
    assert [type(message) for message in found] == [CandleUpdate, Heartbeat]
    assert ids(reader.read(trades(1, trade(1)))) == [1]  # and no trade is suspected for it
    assert counts["data.rejected"] == 4


def test_t08_a_leap_second_is_read_in_trades_and_stamps() -> None:
    text = trades(0, trade(1, time="2016-12-31T23:59:60.25Z")).replace(STAMP, "2016-12-31T23:59:60Z")
    leap = 1483228799.999999
    assert Interpreter(NAMES).read(text) == [Trade("BTC-USD", 1, 5.0, 0.5, leap), Heartbeat(leap)]


def test_t07_t09_a_stamp_without_zone_is_not_taken_for_local_time() -> None:
    found = Interpreter(NAMES).read(trades(0, trade(1)).replace(STAMP, STAMP[:-1]))
    assert [type(message) for message in found] == [Trade]


def test_t09_a_heartbeats_own_time_is_no_fault_whatever_it_says() -> None:
    for event in ({"current_time": "?", "heartbeat_counter": "12"}, {}, 5, None):
        assert Interpreter(NAMES).read(frame(0, "heartbeats", event)) == [BEAT]


def test_sf01_text_from_outside_is_logged_escaped_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    Interpreter(NAMES).read(frame(0, "evil\r\n\x1b[31m\u202e" + "x" * 5000))
    (record,) = caplog.records
    said = record.getMessage()
    assert said.isprintable()
    assert len(said) < 300


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps({"channel": text}).encode()))
def test_w32_no_bytes_raise(data: bytes) -> None:
    Interpreter(NAMES).read(data)
