"""The bundled indicators at their edges: parameters, one candle, dead-flat prices, anchors, scale, and their table."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livermore_indicators import (
    AnchoredVwap,
    Atr,
    Bollinger,
    Dmi,
    Macd,
    Obv,
    Rsi,
    Stochastic,
    SuperTrend,
    plugin,
)

from livermore_core import Candle, ConfigurationError, Indicator, Series
from livermore_core.config import load
from livermore_core.contributions import resolve
from livermore_core.plugins import load as load_plugins
from livermore_core.testing import MemoryExchange, MemoryStore, harness, run_virtual
from livermore_core.testing.indicator_contract import candles

MONDAY, DAY = 1_704_067_200, 86_400
MAKERS: dict[str, Callable[[], Indicator]] = {
    "macd": Macd,
    "rsi": Rsi,
    "atr": Atr,
    "bollinger": Bollinger,
    "stochastic": Stochastic,
    "dmi": Dmi,
    "supertrend": SuperTrend,
    "vwap": AnchoredVwap,
    "obv": Obv,
}


def outputs(indicator: Indicator, candle: Candle) -> tuple[Any, ...]:
    found = indicator.update(candle)
    if found is None:
        return (None,) * len(indicator.outputs)
    return found if isinstance(found, tuple) else (found,)


def still(price: float, count: int, start: int = MONDAY) -> list[Candle]:
    return [Candle(start + 60 * position, price, price, price, price, 1.0) for position in range(count)]


# ---- parameters ----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Macd(fast=0), ValueError, "fast must be at least 1, was 0"),
        (lambda: Macd(signal=-9), ValueError, "signal must be at least 1, was -9"),
        (lambda: Macd(slow=26.0), TypeError, "slow must be a whole number of candles, was 26.0"),  # type: ignore[arg-type]
        (lambda: Rsi(0), ValueError, "length must be at least 1, was 0"),
        (lambda: Rsi("14"), TypeError, "length must be a whole number of candles, was '14'"),  # type: ignore[arg-type]
        (lambda: Rsi(True), TypeError, "length must be a whole number of candles, was True"),
        (lambda: Atr(0), ValueError, "length must be at least 1, was 0"),
        (lambda: Atr(None), TypeError, "length must be a whole number of candles, was None"),  # type: ignore[arg-type]
        (lambda: Bollinger(0), ValueError, "length must be at least 1, was 0"),
        (lambda: Bollinger(multiplier=0), ValueError, "multiplier must be above 0 and at most 1000, was 0"),
        (lambda: Bollinger(multiplier=float("nan")), ValueError, "multiplier must be above 0 .*, was nan"),
        (lambda: Bollinger(multiplier="2"), TypeError, "multiplier must be a number, was '2'"),  # type: ignore[arg-type]
        (lambda: Stochastic(smooth_k=0), ValueError, "smooth_k must be at least 1, was 0"),
        (lambda: Stochastic(smooth_d=0), ValueError, "smooth_d must be at least 1, was 0"),
        (lambda: Dmi(smoothing=0), ValueError, "smoothing must be at least 1, was 0"),
        (lambda: Dmi(length=1.5), TypeError, "length must be a whole number of candles, was 1.5"),  # type: ignore[arg-type]
        (lambda: SuperTrend(length=0), ValueError, "length must be at least 1, was 0"),
        (lambda: SuperTrend(factor=-3), ValueError, "factor must be above 0 and at most 1000, was -3"),
        (lambda: SuperTrend(factor=float("inf")), ValueError, "factor must be above 0 and at most 1000, was inf"),
        (lambda: AnchoredVwap("month"), ValueError, 'anchor must be "day", "week" or a time like .*, was \'month\''),
        (lambda: AnchoredVwap(10**30), ValueError, 'anchor must be "day", "week" or a time like'),
        (lambda: AnchoredVwap(1.5), TypeError, "anchor must be a text or UNIX seconds, was 1.5"),  # type: ignore[arg-type]
        (lambda: AnchoredVwap([]), TypeError, "anchor must be a text or UNIX seconds"),  # type: ignore[arg-type]
        (lambda: AnchoredVwap(reach=0), ValueError, "reach must be at least 1, was 0"),
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_refused_by_name(
    make: Callable[[], Indicator], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_warm_up_and_settle_are_what_the_reference_says() -> None:
    found = {name: (made.warmup, made.settle) for name, made in ((name, make()) for name, make in MAKERS.items())}
    assert found == {
        "macd": (34, 174),
        "rsi": (15, 160),
        "atr": (14, 159),
        "bollinger": (20, 20),
        "stochastic": (16, 16),
        "dmi": (28, 209),
        "supertrend": (10, 202),
        "vwap": (1, 1440),
        "obv": (1, 2),
    }


# ---- no movement ----


@pytest.mark.parametrize("name", MAKERS)
def test_one_candle_gives_a_value_only_where_one_is_enough(name: str) -> None:
    made = MAKERS[name]()
    found = outputs(made, Candle(MONDAY, 10.0, 12.0, 9.0, 11.0, 3.0))
    assert found == {"vwap": (32 / 3,), "obv": (0.0,)}.get(name, (None,) * len(made.outputs))


@pytest.mark.parametrize("price", [1e-8, 0.1, 41_234.56])
@pytest.mark.parametrize("name", MAKERS)
def test_prices_that_never_move_give_what_is_true_of_them_or_nothing(name: str, price: float) -> None:
    made = MAKERS[name]()
    for candle in still(price, 2_000):
        found = outputs(made, candle)
    expected = {
        "macd": (0.0, 0.0, 0.0),
        "atr": (0.0,),
        "bollinger": (price, price, price),
        "supertrend": (price, 1),
        "vwap": (price,),
        "obv": (0.0,),
    }
    wanted = expected.get(name, (None,) * len(made.outputs))
    assert found == (wanted if None in wanted else pytest.approx(wanted, rel=1e-12, abs=1e-12 * price))


@pytest.mark.parametrize("name", ["rsi", "dmi", "stochastic"])
def test_a_ratio_of_what_has_faded_away_is_undefined_and_comes_back_with_the_next_move(name: str) -> None:
    made, live = MAKERS[name](), candles(200)
    for candle in live:
        made.update(candle)
    flat = [outputs(made, candle) for candle in still(live[-1].close, 12_000, live[-1].time + 60)]
    assert None not in flat[0]
    assert all(found[0] is None for found in flat[400:])
    close, time = live[-1].close, live[-1].time + 60 * 12_001
    back = outputs(made, Candle(time, close, close * 1.01, close, close * 1.01, 1.0))
    assert back[0] == pytest.approx({"rsi": 100.0, "stochastic": 100.0}.get(name, back[0]))
    assert all(0.0 <= value <= 100.0 + 1e-9 for value in back)


def test_only_rises_give_100_and_only_falls_0() -> None:
    up, down = Rsi(3), Rsi(3)
    prices = [10.0, 11.0, 12.0, 13.0]
    rising = [outputs(up, candle)[0] for price in prices for candle in still(price, 1)]
    falling = [outputs(down, candle)[0] for price in reversed(prices) for candle in still(price, 1)]
    assert (rising, falling) == ([None, None, None, 100.0], [None, None, None, 0.0])


# ---- scale ----

PRICES = {"macd", "atr", "bollinger", "vwap"}


@pytest.mark.parametrize("name", MAKERS)
def test_the_unit_of_the_price_changes_nothing_but_the_unit(name: str) -> None:
    large, small = MAKERS[name](), MAKERS[name]()
    compared = 0
    for candle in candles(400):
        o, h, low, c = (price * 1e-8 for price in (candle.open, candle.high, candle.low, candle.close))
        tiny = outputs(small, Candle(candle.time, o, h, low, c, candle.volume))
        for output, one, other in zip(large.outputs, outputs(large, candle), tiny, strict=True):
            factor = 1e-8 if name in PRICES or output == "supertrend" else 1.0
            assert (one is None) == (other is None)
            if one is not None:
                assert other == pytest.approx(one * factor, rel=1e-6, abs=1e-9 * factor)
                compared += 1
    assert compared > 300


# ---- anchors ----


def vwap(made: AnchoredVwap, time: int, price: float, volume: float = 1.0) -> Any:
    return made.update(Candle(time, price, price, price, price, volume))


def test_a_day_begins_at_midnight_utc() -> None:
    made = AnchoredVwap("day")
    assert vwap(made, MONDAY - 120, 10.0) == 10.0
    assert vwap(made, MONDAY - 60, 20.0, 3.0) == 17.5
    assert vwap(made, MONDAY, 40.0) == 40.0
    assert vwap(made, MONDAY + DAY - 60, 20.0) == 30.0
    assert vwap(made, MONDAY + DAY, 50.0) == 50.0


def test_a_week_begins_on_monday() -> None:
    made = AnchoredVwap("week")
    assert vwap(made, MONDAY - DAY, 10.0) == 10.0
    assert vwap(made, MONDAY - 60, 20.0) == 15.0
    assert vwap(made, MONDAY, 40.0) == 40.0
    assert vwap(made, MONDAY + 7 * DAY - 60, 20.0) == 30.0
    assert vwap(made, MONDAY + 7 * DAY, 50.0) == 50.0


@pytest.mark.parametrize("anchor", [MONDAY, "2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T01:30:00+01:30"])
def test_an_instant_counts_from_the_candle_that_opens_then(anchor: str | int) -> None:
    made = AnchoredVwap(anchor)
    assert vwap(made, MONDAY - 60, 10.0) is None
    assert vwap(made, MONDAY, 20.0) == 20.0
    assert vwap(made, MONDAY + 30 * DAY, 40.0) == 30.0


def test_history_that_begins_after_the_instant_gives_nothing_rather_than_another_sum() -> None:
    made = AnchoredVwap(MONDAY)
    assert [vwap(made, MONDAY + 60 * minute, 20.0) for minute in range(1, 50)] == [None] * 49


def test_the_reach_of_an_anchor_is_its_settle() -> None:
    found = [made.settle for made in (AnchoredVwap("week"), AnchoredVwap(MONDAY), AnchoredVwap("day", reach=24))]
    assert found == [10_080, 10_080, 24]


# ---- what is offered ----

EVERY_ONE = """
[indicators]
macd = {}
rsi = { length = 14 }
rsi-5 = { use = "rsi", length = 5 }
atr = {}
bollinger = { multiplier = 2.5 }
stochastic = { smooth_k = 3 }
dmi = {}
supertrend = { length = 14, factor = 2 }
vwap = { anchor = "week", reach = 500 }
vwap-since-the-fork = { use = "vwap", anchor = "2024-04-20T00:09:27Z", reach = 500 }
obv = {}
"""


def configured(file: Path, text: str) -> Any:
    file.write_text(text)
    return load(load_plugins(), file=file, environ={})


def test_a_file_names_them_as_users_type_them(tmp_path: Path) -> None:
    found = configured(tmp_path / "livermore.toml", EVERY_ONE)
    assert found.indicators["rsi-5"] == {"use": "rsi", "length": 5}
    assert len(found.indicators) == 11
    assert found.history == 500


def test_a_line_may_say_on_which_series_it_runs(tmp_path: Path) -> None:
    text = '[indicators]\nema-200 = { use = "ema", length = 200, symbols = ["BTC-*"], timeframes = ["1h", "4*"] }\n'
    found = configured(tmp_path / "livermore.toml", text)
    assert found.indicators["ema-200"]["timeframes"] == ["1h", "4*"]
    assert found.history == 1273


def test_a_longer_average_deepens_the_history_and_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    now, busy = 1_704_270_000.0, Series("memory", "AAA-USD", "5m")
    lines = ("macd-v = {}", 'macd-v = {}\nema-200 = { use = "ema", length = 200 }')

    async def starts() -> list[tuple[list[tuple[str, str, int, int]], int]]:
        """The requests of each start, and how many candles there are after it."""
        client = MemoryExchange({"AAA-USD": 20.0}, start=now, history=9 * 86_400, until=now + 600, seed=3)
        store, found = MemoryStore(), []
        for line in (*lines, lines[-1]):
            depth = configured(tmp_path / "livermore.toml", f"[indicators]\n{line}\n").history
            client.requests.clear()
            frames = {"timeframes": ("1m", "5m"), "backfill_timeframes": ("5m",)}
            async with harness(client, store, depth=depth, **frames) as kit:
                await kit.following.backfill(kit.context)
            found.append((client.requests.copy(), await store.count(busy, 0, int(now))))
        return found

    (first, few), (deeper, many), (again, as_many) = run_virtual(starts())
    assert 300 <= few < 900
    assert 1273 <= many == as_many
    oldest = min(start for _, timeframe, start, _ in first if timeframe == "5m")
    assert deeper
    assert max(end for _, timeframe, _, end in deeper if timeframe == "5m") <= oldest
    assert again == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rsi = { length = 0 }", "indicators.rsi: length must be at least 1, was 0"),
        ("rsi = { lenght = 5 }", "indicators.rsi.lenght: unknown parameter of rsi, did you mean 'length'?"),
        ("rsi = { length = 5.5 }", "indicators.rsi.length: must be a whole number, is 5.5"),
        ("bollinger = { multiplier = 1e200 }", "indicators.bollinger: multiplier must be above 0 and at most 1000"),
        ("supertrend = { factor = 1000 }", "indicators.supertrend: needs 10000112 candles, more than the 100000"),
        ("vwap = { anchor = 'month' }", 'indicators.vwap: anchor must be "day", "week" or a time like'),
        ("super-trend = {}", "indicators.super-trend: unknown indicator, did you mean 'supertrend'?"),
    ],
)
def test_a_file_with_a_mistake_is_told_where_and_which(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path / "livermore.toml", f"[indicators]\n{line}\n")
    assert reason in str(caught.value)


def test_the_readme_has_a_row_for_every_indicator_as_it_is() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    offered = list(plugin.register_indicators())
    assert {"macd-v", "ema", "rma", "sma", *MAKERS} == {each.name for each in offered}
    for each in offered:
        make = resolve(each.reference)
        made = make()
        given = ", ".join(map(shown, inspect.signature(make).parameters.values()))
        names = ", ".join(f"`{name}`" for name in made.outputs)
        assert f"| `{each.name}` | {given} | {names} | {made.warmup} | {made.settle} |" in readme, each.name
        assert each.summary


def shown(parameter: inspect.Parameter) -> str:
    """A parameter as it stands in a table of TOML."""
    default = "" if parameter.default is None else f" = {json.dumps(parameter.default)}"
    return f"`{parameter.name}{default}`"
