"""The bundled indicators and blocks against the reference vectors: every column that one produces, on all series.

TA-Lib seeds some averages in another way than TradingView does. Those columns are held twice: to the last digit with
TA-Lib's seed laid into the indicator, and without it from where the seeds have faded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

import pytest
from livermore_indicators import AnchoredVwap, Atr, Bollinger, Dmi, Macd, Obv, Rsi, Stochastic, SuperTrend
from livermore_indicators.averages import EmaOfClose, RmaOfClose, SmaOfClose
from reference_vectors import NAMES, candles, near, vectors

from livermore_core import Candle, Highest, Indicator, Lowest, Rma, SeriesHost, StdDev, TrueRange, Wma

Values = Sequence[float | None]


class Case(NamedTuple):
    """Columns of a group, the indicator that makes them in the order of its outputs, and where they begin to agree."""

    group: str
    columns: tuple[str, ...]
    make: Callable[[str], tuple[Indicator, int]]
    since: int = 0
    degenerate: str = ""
    since_in_flat: int = 0


def fresh(make: Callable[[], Indicator]) -> Callable[[str], tuple[Indicator, int]]:
    return lambda name: (make(), 0)


def without_the_first(make: Callable[[], Any]) -> Callable[[str], tuple[Indicator, int]]:
    """TA-Lib's average of the true range leaves the first candle out."""

    def made(name: str) -> tuple[Indicator, int]:
        indicator = make()
        indicator.true_range.push(candles(name)[0])
        return indicator, 1

    return made


def supertrend_that_begins_up(name: str) -> tuple[Indicator, int]:
    indicator, first = without_the_first(Inverted)(name)
    assert isinstance(indicator, SuperTrend)
    indicator.line, indicator.upper = 0.0, inf
    return indicator, first


class Inverted(SuperTrend):
    """TA-Lib says +1 while up."""

    def update(self, candle: Candle) -> tuple[float, int] | None:
        found = super().update(candle)
        return None if found is None else (found[0], -found[1])


def macd_with_its_fast_average_late(name: str) -> tuple[Indicator, int]:
    indicator = Macd()
    for candle in candles(name)[:14]:
        indicator.slow.push(candle.close)
    return indicator, 14


def dmi_after_a_candle_without_movement(name: str) -> tuple[Indicator, int]:
    indicator = Dmi()
    for average in (indicator.plus, indicator.minus, indicator.range):
        average.push(0.0)
    for candle in candles(name)[:14]:
        indicator.update(candle)
    indicator.adx = Rma(14)
    if name == "flat":  # TA-Lib takes 0/0 for 0, and seeds with it
        for _ in range(14):
            indicator.adx.push(0.0)
    return indicator, 14


def obv_from_the_first_volume(name: str) -> tuple[Indicator, int]:
    indicator = Obv()
    indicator.total = candles(name)[0].volume
    return indicator, 0


MACD, TALIB_MACD = ("macd", "macd_signal", "macd_hist"), ("talib_macd", "talib_macd_signal", "talib_macd_hist")
BANDS, DMI = ("bb_upper", "bb_middle", "bb_lower"), ("adx_14", "plus_di_14", "minus_di_14")
EMA_LENGTHS = (9, 12, 26, 50, 200)
CASES = {
    "macd": Case("tradingview", MACD, fresh(Macd)),
    "atr-14": Case("tradingview", ("atr_14",), fresh(Atr)),
    "atr-26": Case("tradingview", ("atr_26",), fresh(lambda: Atr(26))),
    "atr-26-of-macd-v": Case("macd_v", ("atr_26",), fresh(lambda: Atr(26))),
    "ema-12-of-macd-v": Case("macd_v", ("ema_12",), fresh(lambda: EmaOfClose(12))),
    "ema-26-of-macd-v": Case("macd_v", ("ema_26",), fresh(lambda: EmaOfClose(26))),
    "supertrend": Case("tradingview", ("supertrend", "supertrend_dir"), fresh(SuperTrend)),
    "vwap-day": Case("tradingview", ("vwap_utc_day",), fresh(AnchoredVwap)),
    "vwap-instant": Case("talib", ("talib_vwap_cumulative",), lambda name: (AnchoredVwap(candles(name)[0].time), 0)),
    "rsi": Case("talib", ("rsi_14",), fresh(Rsi), degenerate="rsi_14"),
    "bollinger": Case("talib", BANDS, fresh(Bollinger)),
    # TA-Lib holds %K back until %D is there.
    "stochastic-fast": Case("talib", ("stochf_k", "stochf_d"), fresh(Stochastic), 15),
    "stochastic": Case("talib", ("stoch_k", "stoch_d"), fresh(lambda: Stochastic(smooth_k=3)), 17),
    "dmi": Case("talib", DMI, fresh(Dmi), 340, "dmi_adx_14"),
    "dmi-talib-seed": Case("talib", DMI, dmi_after_a_candle_without_movement, 14, "dmi_adx_14"),
    "obv-talib-seed": Case("talib", ("obv",), obv_from_the_first_volume),
    "atr-14-talib-seed": Case("talib", ("talib_atr_14",), without_the_first(Atr)),
    "atr-26-talib-seed": Case("talib", ("talib_atr_26",), without_the_first(lambda: Atr(26))),
    # TA-Lib prints nothing before all three are there, and a direction of 0 before the first line.
    "macd-talib-seed": Case("talib", TALIB_MACD, macd_with_its_fast_average_late, 33),
    # Where both lines meet, as they do in 40 equal candles, TA-Lib says up and Pine down.
    "supertrend-talib-seed": Case("talib", ("talib_supertrend", "talib_supertrend_dir"), supertrend_that_begins_up, 10,
                                  since_in_flat=40),
    **{f"ema-{n}": Case("talib", (f"ema_{n}",), fresh(partial(EmaOfClose, n))) for n in EMA_LENGTHS},
    "rma-14": Case("talib", ("rma_14",), fresh(RmaOfClose)),
    "sma-20": Case("talib", ("sma_20",), fresh(SmaOfClose)),
}  # fmt: skip


def produced(case: Case, name: str) -> Iterator[tuple[int, Values]]:
    """The outputs of each candle that the seed has not taken, with its index."""
    indicator, first = case.make(name)
    for position, candle in enumerate(candles(name)[first:], start=first):
        found: Any = indicator.update(candle)
        if found is None:
            found = (None,) * len(indicator.outputs)
        yield position, found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_indicator_makes_its_columns_I2(case: Case, name: str) -> None:
    expected = vectors(name)["expected"].get(case.group)
    if expected is None:
        assert name == "long_flat"
        return
    degenerate = vectors(name).get("degenerate", {})
    since = max(case.since, case.since_in_flat if name == "flat" else 0)
    compared = 0
    for position, values in produced(case, name):
        for column, value in zip(case.columns, values, strict=True):
            if position < since or position in degenerate.get(case.degenerate or column, ()):
                continue
            near(name, value, expected[column][position])
            compared += value is not None
    assert compared >= 30 * len(case.columns)


BLOCKS: dict[str, tuple[Callable[[], Any], Callable[[Candle], Any]]] = {
    "wma_20": (lambda: Wma(20), lambda candle: candle.close),
    "stddev_20": (lambda: StdDev(20), lambda candle: candle.close),
    "donchian_upper_20": (lambda: Highest(20), lambda candle: candle.high),
    "donchian_lower_20": (lambda: Lowest(20), lambda candle: candle.low),
    "true_range": (TrueRange, lambda candle: candle),
    "talib_trange": (TrueRange, lambda candle: candle),
}


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("column", BLOCKS)
def test_a_block_makes_its_column_I2(column: str, name: str) -> None:
    expected = vectors(name)["expected"]
    wanted = {**expected["talib"], **expected["tradingview"]}[column]
    make, reading = BLOCKS[column]
    block = make()
    for position, candle in enumerate(candles(name)):
        value = block.push(reading(candle))
        if column != "talib_trange" or position > 0:  # the first candle has none there
            near(name, value, wanted[position])
    assert sum(value is not None for value in wanted) > 300


PREVIEWED: dict[str, Callable[[], Indicator]] = {
    "rsi_14": Rsi,
    "ema_12": lambda: EmaOfClose(12),
    "atr_26": lambda: Atr(26),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", PREVIEWED)
def test_a_preview_is_the_expected_one_and_leaves_no_trace(column: str, name: str) -> None:
    host = SeriesHost(column, PREVIEWED[column])
    fed = 0
    for preview in vectors(name)["previews"]:
        for candle in candles(name)[fed : preview["closed_candles"]]:
            host.commit(candle)
        fed = preview["closed_candles"]
        before = host.head.dump()
        value = host.peek(Candle(*preview["in_progress"]))
        near(name, value.outputs["value"], preview["expected"][column])  # type: ignore[arg-type]
        assert host.head.dump() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_corrected_candle_corrects_the_range_from_there_on_I4(name: str) -> None:
    correction, known = vectors(name)["correction"], candles(name)
    host = SeriesHost("atr", lambda: Atr(26))
    for candle in known:
        host.commit(candle)
    known[correction["index"]] = Candle(*correction["revised"])
    host.rebuild(known[: correction["index"]])
    values = [host.commit(candle) for candle in known[correction["index"] :]]
    for value, want in zip(values, correction["expected"]["atr_26"], strict=True):
        near(name, value.outputs["value"], want)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_directional_movement_as_pine_says_it(name: str) -> None:
    """Its seed is in no column: computed here from the definition, all at once."""
    length, smoothing, rows = 5, 4, candles(name)
    steps = list(pairwise(rows))
    ups, downs = [b.high - a.high for a, b in steps], [a.low - b.low for a, b in steps]
    ranges = [max(b.high, a.close) - min(b.low, a.close) for a, b in steps]
    pairs = list(zip(ups, downs, strict=True))
    plus = smoothed([up if up > max(down, 0) else 0 for up, down in pairs], length)
    minus = smoothed([down if down > max(up, 0) else 0 for up, down in pairs], length)
    average = smoothed(ranges, length)
    made = Dmi(length, smoothing)
    compared, moved = 0, []
    for position, candle in enumerate(rows):
        found = made.update(candle)
        if found is None:
            assert position < length or average[position - length] < 1e-10 * candle.close
            continue
        at = position - length
        near(name, found[1], 100 * plus[at] / average[at])
        near(name, found[2], 100 * minus[at] / average[at])
        both = plus[at] + minus[at]
        moved.append(100 * abs(plus[at] - minus[at]) / both if both else 0)
        if len(moved) >= smoothing:
            near(name, found[0], smoothed(moved, smoothing)[-1])
            compared += 1
    assert compared > 150


def smoothed(values: Sequence[float], length: int) -> list[float]:
    """Wilder's average of all values, from the first that is full."""
    found = [sum(values[:length]) / length]
    for value in values[length:]:
        found.append((found[-1] * (length - 1) + value) / length)
    return found
