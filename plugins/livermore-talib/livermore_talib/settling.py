"""How long each function remembers where history began: beyond its lookback, the recursive ones and the sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from livermore_core import settle
from livermore_talib.description import Description

Values = Mapping[str, float]
Rule = Callable[[Values], int]

# Sums and products from the first candle on: their level says where history began for ever.
CUMULATIVE = frozenset({"AD", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD"})
# TA-Lib's "whatever is usual for this function", as the type of an average.
USUAL = 11
# A weight below which nothing settles within the candles that may be asked for.
LEAST_WEIGHT = 1e-4
# KAMA in a market that goes nowhere: as slow as an average over 30, squared.
KAMA_AT_REST = (2 / 31) ** 2
# MAMA where another function uses it as its average: these limits are TA-Lib's.
MAMA_INSIDE = {"fastlimit": 0.5, "slowlimit": 0.05}
# The period that a Hilbert transform finds steers the transform itself, so that no formula bounds it: measured.
HILBERT = 400
# As in the bundled supertrend: a price that wanders crosses a line some factor^2 candles away; ten times as many.
TURNS_WITHIN = 10


def is_cumulative(function: str) -> bool:
    """Whether only its changes settle."""
    return function in CUMULATIVE


def settle_after(description: Description, values: Mapping[str, float]) -> int:
    """Candles after the first result until it no longer depends on where history began.

    What is not named in the rules looks back over a window, and is settled at once.
    """
    if is_cumulative(description.function):
        return 1
    rule = RULES.get(description.function)
    if rule is None:
        return 0
    usual = {name: description.defaults[name] for name, value in values.items() if _is_usual(name, value)}
    return rule({**values, **usual})


def _is_usual(name: str, value: float) -> bool:
    return name.endswith("matype") and value == USUAL


def _ema(length: float) -> int:
    return settle(2.0 / (length + 1.0))


def _rma(length: float) -> int:
    return settle(1.0 / length)


def _weighed(weight: float) -> int:
    return settle(max(weight, LEAST_WEIGHT))


def _mama(values: Values) -> int:
    """FAMA follows MAMA at half its speed."""
    slowest = min(values["slowlimit"], values["fastlimit"])
    return HILBERT + _weighed(slowest) + _weighed(slowest / 2)


# By the number of its type in TA-Lib; the others look back over a window.
AVERAGES: Mapping[float, Callable[[float], int]] = {
    1: _ema,
    3: lambda length: 2 * _ema(length),  # DEMA
    4: lambda length: 3 * _ema(length),  # TEMA
    6: lambda length: settle(KAMA_AT_REST),
    7: lambda length: _mama(MAMA_INSIDE),
    8: lambda length: 6 * _ema(length),  # T3
    12: _ema,  # ZLEMA
    13: _rma,
}


def _average(kind: float, length: float) -> int:
    rule = AVERAGES.get(kind)
    return 0 if rule is None else rule(length)


def _of_length(rule: Callable[[float], int], times: int = 1) -> Rule:
    """An average of an average settles after it: as many in a row as `times`."""
    return lambda values: times * rule(values["timeperiod"])


def _slower(values: Values) -> float:
    return max(values["fastperiod"], values["slowperiod"])


def _of_two_averages(values: Values) -> int:
    return _average(values["matype"], _slower(values))


def _macdext(values: Values) -> int:
    fast, slow = (_average(values[f"{each}matype"], values[f"{each}period"]) for each in ("fast", "slow"))
    return max(fast, slow) + _average(values["signalmatype"], values["signalperiod"])


def _slow_stochastic(values: Values) -> int:
    return sum(_average(values[f"{each}_matype"], values[f"{each}_period"]) for each in ("slowk", "slowd"))


def _fast_stochastic(values: Values) -> int:
    return _average(values["fastd_matype"], values["fastd_period"])


def _sar(acceleration: float, maximum: float) -> int:
    """It has turned, or come so near to the extreme that it no longer knows from where."""
    return _weighed(min(acceleration, maximum, 1.0))


def _sarext(values: Values) -> int:
    return max(_sar(values[f"accelerationinit{side}"], values[f"accelerationmax{side}"]) for side in ("long", "short"))


# CVI, RVI and STOCHRSI divide by what may hardly move, which magnifies what is left of the seed: twice the time.
RULES: Mapping[str, Rule] = {
    "ADOSC": lambda values: _ema(_slower(values)),
    "ADX": _of_length(_rma, 2),
    "ADXR": _of_length(_rma, 2),
    "APO": _of_two_averages,
    "ATR": _of_length(_rma),
    "BBANDS": lambda values: _average(values["matype"], values["timeperiod"]),
    "CMO": _of_length(_rma),
    "CVI": _of_length(_ema, 2),
    "DEMA": _of_length(_ema, 2),
    "DX": _of_length(_rma),
    "EFI": _of_length(_ema),
    "EMA": _of_length(_ema),
    "ERI": _of_length(_ema),
    "HA": lambda values: settle(0.5),
    **dict.fromkeys(("HT_DCPERIOD", "HT_DCPHASE", "HT_PHASOR", "HT_SINE", "HT_TRENDLINE", "HT_TRENDMODE"),
                    lambda values: HILBERT),
    "KAMA": lambda values: settle(KAMA_AT_REST),
    "KC": lambda values: max(_ema(values["timeperiod"]), _rma(values["atrperiod"])),
    "KDJ": _slow_stochastic,
    "MA": lambda values: _average(values["matype"], values["timeperiod"]),
    "MACD": lambda values: _ema(_slower(values)) + _ema(values["signalperiod"]),
    "MACDEXT": _macdext,
    "MACDFIX": lambda values: settle(0.075) + _ema(values["signalperiod"]),
    "MAMA": _mama,
    "MASSI": lambda values: 2 * _ema(values["fastperiod"]),
    "MINUS_DI": _of_length(_rma),
    "MINUS_DM": _of_length(_rma),
    "NATR": _of_length(_rma),
    "PLUS_DI": _of_length(_rma),
    "PLUS_DM": _of_length(_rma),
    "PPO": _of_two_averages,
    "PVO": _of_two_averages,
    "RMA": _of_length(_rma),
    "RSI": _of_length(_rma),
    "RVI": _of_length(_rma, 2),
    "SAR": lambda values: _sar(values["acceleration"], values["maximum"]),
    "SAREXT": _sarext,
    "SMI": lambda values: sum(_ema(values[f"{each}period"]) for each in ("fast", "slow", "signal")),
    "STOCH": _slow_stochastic,
    "STOCHF": _fast_stochastic,
    "STOCHRSI": lambda values: 2 * _rma(values["timeperiod"]) + _fast_stochastic(values),
    "SUPERTREND": lambda values: _rma(values["timeperiod"]) + ceil(TURNS_WITHIN * values["multiplier"] ** 2),
    "T3": _of_length(_ema, 6),
    "TEMA": _of_length(_ema, 3),
    "TRIX": _of_length(_ema, 3),
    "TSI": lambda values: _ema(values["firstperiod"]) + _ema(values["secondperiod"]),
    "ZLEMA": _of_length(_ema),
}  # fmt: skip
