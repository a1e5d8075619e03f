"""What REST answers say: rows rejected one by one, times in every form, products, holdings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livermore_coinbase.account import holdings
from livermore_coinbase.catalogue import catalogue, followed_by
from livermore_coinbase.moments import http_date, moment, retry_after
from livermore_coinbase.parse import candle_rows, exchange_time, newest_trade

from livermore_core import BadResponseError, Candle


def row(start: object, **more: object) -> dict[str, object]:
    return {"start": str(start), "low": "1", "high": "3", "open": "2", "close": "2.5", "volume": "10"} | more


def body(*rows: object) -> bytes:
    return json.dumps({"candles": list(rows)}).encode()


def test_r13_rows_in_any_order_come_out_ascending() -> None:
    found = candle_rows(body(row(180), row(60), row(120)), 60, 240, 60)
    assert found.rows == [Candle(time, 2.0, 3.0, 1.0, 2.5, 10.0) for time in (60, 120, 180)]
    assert (found.rejected, found.conflicts, found.dropped) == ((), 0, 0)


POISON: list[dict[str, object]] = [
    {"open": "NaN"},
    {"close": "Infinity"},
    {"high": "1e999"},
    {"low": "-1"},
    {"low": "0"},
    {"volume": "-0.5"},
    {"high": "0.5"},
    {"open": "9" * 5000},
    {"open": "1_0"},
    {"open": "２"},
    {"open": None},
    {"open": ""},
    {"open": [1]},
    {"open": " 2"},
    {"open": "0x2"},
    {"open": "2 "},
    {"open": "+2"},
    {"open": "\u0662"},
    {"open": "2,0"},
    {"open": ".2e1"},
]


@pytest.mark.parametrize("poison", POISON, ids=lambda poison: str(poison)[:24])
def test_r12_si04_a_poisoned_row_costs_only_its_own_bucket(poison: dict[str, object]) -> None:
    found = candle_rows(body(row(180), row(120, **poison), row(60)), 60, 240, 60)
    assert [candle.time for candle in found.rows] == [60, 180]
    assert found.rejected == (120,)


def test_r12_si04_json_that_is_none_is_refused_whole() -> None:
    with pytest.raises(BadResponseError):
        candle_rows(b'{"candles":[{"start":"60","open":NaN}]}', 60, 240, 60)


@pytest.mark.parametrize("start", ["60000000000000", "9" * 30, "x", None, "-60"], ids=lambda start: str(start)[:8])
def test_r19_a_row_that_has_no_place_leaves_every_absent_bucket_unknown(start: object) -> None:
    found = candle_rows(body(row(120), row(60) | {"start": start}), 60, 300, 60)
    assert [candle.time for candle in found.rows] == [120]
    assert found.rejected == (60, 180, 240)


def test_r19_rows_outside_the_range_are_dropped_and_off_the_grid_rejected() -> None:
    found = candle_rows(body(row(0), row(60), row(150), row(240)), 60, 240, 60)
    assert [candle.time for candle in found.rows] == [60]
    assert (found.rejected, found.dropped) == ((120,), 2)


def test_r14_equal_rows_count_once_and_different_ones_are_a_conflict() -> None:
    assert candle_rows(body(row(60), row(60)), 60, 120, 60).conflicts == 0
    found = candle_rows(body(row(60), row(60, close="3")), 60, 120, 60)
    assert (found.conflicts, [candle.close for candle in found.rows]) == (1, [3.0])


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "{}", '{"candles":null}', '{"candles":{}}', '{"error":"x"}', "", '{"candles":[', "[" * 100_000],
)
def test_r11_r09_another_shape_or_half_a_body_is_a_bad_response(text: str) -> None:
    with pytest.raises(BadResponseError, match=r"rest\.bad_response"):
        candle_rows(text.encode(), 60, 120, 60)


def test_r11_numbers_for_strings_and_unknown_members_are_taken() -> None:
    assert len(candle_rows(body(row(60, open=2, new="x") | {"start": 60}), 60, 120, 60).rows) == 1


@given(st.permutations(range(0, 6000, 60)), st.integers(0, 99), st.integers(0, 99))
def test_what_is_not_a_candle_is_never_both_row_and_rejected(order: list[int], one: int, other: int) -> None:
    rows = [row(time, **({"open": "NaN"} if time // 60 in (one, other) else {})) for time in order]
    found = candle_rows(body(*rows), 0, 6000, 60)
    assert set(found.rejected) == {one * 60, other * 60}
    assert [candle.time for candle in found.rows] == sorted(set(range(0, 6000, 60)) - set(found.rejected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-30T02:39:53.788217036Z", 1790735993.788217),
        ("2026-09-30T02:39:53.7882Z", 1790735993.7882),
        ("2026-09-30T02:39:53Z", 1790735993.0),
        ("2026-09-30T02:39:53.5+00:00", 1790735993.5),
        ("2026-09-30T04:39:53.5+02:00", 1790735993.5),
        ("2016-12-31T23:59:60Z", 1483228799.999999),
        ("2016-12-31T23:59:60.5Z", 1483228799.999999),
        ("2023-06-23 20:31:56.12 +0000 UTC m=+91717.4", None),
        ("2026-09-30T02:39:53", None),
        ("2026-13-30T02:39:53Z", None),
        ("1790735993", None),
        ("", None),
    ],
)
def test_t08_t09_moments_in_every_form(text: str, expected: float | None) -> None:
    assert moment(text) == expected


@given(st.datetimes(min_value=datetime(2015, 1, 1), max_value=datetime(2100, 1, 1)))
def test_t09_moments_are_exact_to_the_microsecond(when: datetime) -> None:
    aware = when.replace(tzinfo=UTC)
    assert moment(aware.isoformat().replace("+00:00", "Z")) == aware.timestamp()


DATE = "Wed, 30 Sep 2026 02:39:53 GMT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (None, None),
        ("0", 1.0),
        ("-5", None),
        ("1000000000", 300.0),
        ("9" * 400, 300.0),
        ("soon", None),
        ("７", None),
        ("Wed, 30 Sep 2026 02:40:03 GMT", 10.0),
        ("Wed, 30 Sep 2026 02:39:03 GMT", 1.0),
        ("Wed, 30 Sep 2027 02:39:03 GMT", 300.0),
    ],
)
def test_r01_r02_retry_after_in_every_form(text: str | None, expected: float | None) -> None:
    assert retry_after(text, http_date(DATE)) == expected


def test_r02_a_date_without_the_servers_own_is_not_compared_with_this_machines_clock() -> None:
    assert retry_after("Wed, 30 Sep 2026 02:40:03 GMT", None) is None


@pytest.mark.parametrize(("text", "expected"), [(DATE, 1790735993.0), ("", None), (None, None), ("yesterday", None)])
def test_http_dates(text: str | None, expected: float | None) -> None:
    assert http_date(text) == expected


@pytest.mark.parametrize(
    ("millis", "expected"), [("1790735849298", 1790735849.298), ("1790735849.298", 1790735849.0), ("5", 1790735849.0)]
)
def test_time_takes_milliseconds_only_where_they_agree_with_the_seconds(millis: str, expected: float) -> None:
    answer = json.dumps({"iso": "", "epochSeconds": "1790735849", "epochMillis": millis}).encode()
    assert exchange_time(answer) == expected


@pytest.mark.parametrize(("seconds", "millis"), [("0", "0"), ("5e-324", "1e-400"), ("1e-3", "0"), ("1e300", "1e300")])
def test_a_time_that_is_none_is_refused_R11(seconds: str, millis: str) -> None:
    with pytest.raises(BadResponseError, match="time: no UNIX seconds"):
        exchange_time(f'{{"iso": "", "epochSeconds": {seconds}, "epochMillis": {millis}}}'.encode())


def trade(number: int, **more: object) -> dict[str, object]:
    found = {
        "trade_id": str(number),
        "product_id": "BTC-USD",
        "price": "5",
        "size": "1",
        "time": "2026-01-01T00:00:00Z",
    }
    return found | more


def test_the_newest_trade_is_the_one_with_the_highest_id() -> None:
    found = newest_trade(json.dumps({"trades": [trade(1), trade(3), trade(2)]}).encode(), "BTC-USDC")
    assert found is not None
    assert (found.symbol, found.id) == ("BTC-USDC", 3)
    assert newest_trade(b'{"trades":[]}', "BTC-USD") is None


def test_r12_trades_that_cannot_be_read_are_not_taken_for_silence() -> None:
    with pytest.raises(BadResponseError, match="no trade"):
        newest_trade(json.dumps({"trades": [trade(1, price="NaN"), trade(2, time="?")]}).encode(), "BTC-USD")


def product(name: str, **more: object) -> dict[str, Any]:
    return {"product_id": name, "status": "online", "alias": "", "alias_to": []} | more


def products(*rows: object) -> bytes:
    return json.dumps({"products": list(rows), "num_products": len(rows), "pagination": None}).encode()


def test_one_product_per_book_under_its_canonical_id() -> None:
    found = catalogue(
        products(
            product("BTC-USD", alias_to=["BTC-USDC"], approximate_quote_24h_volume="1000.5"),
            product("BTC-USDC", alias="BTC-USD"),
            product("USDT-USDC", volume_24h="2", price="3"),
            product("LOST-USDC", alias="LOST-USD"),
        )
    )
    assert [(p.symbol, p.aliases, p.quote_volume) for p in found.products] == [
        ("BTC-USD", ("BTC-USDC",), 1000.5),
        ("USDT-USDC", (), 6.0),
        ("LOST-USDC", (), 0.0),
    ]
    assert found.canonical == {"BTC-USDC": "BTC-USD"}
    assert all(p.listed is None for p in found.products)


@pytest.mark.parametrize(
    "more",
    [
        {"status": "delisted"},
        {"status": "offline"},
        {"status": ""},
        {"is_disabled": True},
        {"trading_disabled": True},
        {"cancel_only": True},
        {"view_only": True},
        {"auction_mode": True},
    ],
    ids=str,
)
def test_w37_what_does_not_trade_now_is_not_tradable(more: dict[str, Any]) -> None:
    found = catalogue(products(product("A-USD"), product("B-USD", **more)))
    assert [p.tradable for p in found.products] == [True, False]
    ((key, value),) = more.items()
    assert [p.halted for p in found.products] == ["", (value or "no status") if key == "status" else key]


@pytest.mark.parametrize(
    "bad", [{"product_id": 5}, {}, "x", None, product("../x"), product("A-USD' OR 1"), product("a")]
)
def test_si05_a_product_that_cannot_be_read_costs_only_itself(bad: object) -> None:
    found = catalogue(products(product("A-USD"), bad))
    assert ([p.symbol for p in found.products], found.rejected) == (["A-USD"], 1)


def test_r12_absurd_volumes_count_as_none() -> None:
    for volume in ("NaN", "-5", "Infinity", "1_0", None):
        found = catalogue(products(product("A-USD", approximate_quote_24h_volume=volume)))
        assert found.products[0].quote_volume == 0.0


def test_a_held_currency_is_followed_in_usd_else_usdc_by_its_canonical_id() -> None:
    found = catalogue(
        products(
            product("BTC-USD"),
            product("ETH-USD", status="delisted"),
            product("ETH-USDC"),
            product("SOL-USD"),
            product("SOL-USDC", alias="SOL-USD"),
        )
    )
    held = {name: followed_by(name, found) for name in ("BTC", "ETH", "SOL", "USD")}
    assert held == {"BTC": "BTC-USD", "ETH": "ETH-USDC", "SOL": "SOL-USD", "USD": None}


def test_what_is_on_hold_is_held() -> None:
    def account(currency: str, value: object, hold: object) -> dict[str, Any]:
        return {"currency": currency, "available_balance": {"value": value}, "hold": {"value": hold}}

    rows = [account("A", "0", "0"), account("B", "0.1", "0"), account("C", "0", "5"), account("D", "NaN", "-1"), None]
    found = holdings(json.dumps({"accounts": rows, "has_next": True, "cursor": "next"}).encode())
    assert (found.currencies, found.cursor) == (["B", "C"], "next")
