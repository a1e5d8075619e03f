"""Measures MACD-V of one more closed candle in place against the other ways to have it, and what a host holds.

The others: the last 200 candles anew in plain Python (one fused pass, and the definition written down in lists) and by
TA-Lib, and talipp's incremental averages. Prints one JSON line per figure; CPU time, taken in turns in one run.
"""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy
import talib
from _reference import FusedMacdV
from indicators import DEPTH, per_call, walk
from livermore_indicators import MacdV
from slow_macd_v import slow_macd_v
from talipp.indicators import ATR, EMA  # type: ignore[import-untyped]
from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]

from livermore_core import Candle, SeriesHost

BARS = 200
FED = 2_000
HOSTS = 1_000


def in_place(warm: Sequence[Candle], fed: Sequence[Candle]) -> int:
    """Ours: what is kept takes one more candle."""
    indicator = MacdV()
    for candle in [*warm, *fed]:
        indicator.update(candle)
    return len(warm) + len(fed)


def through_host(warm: Sequence[Candle], fed: Sequence[Candle]) -> int:
    """Ours, with the value as it is published and with snapshots for a replay."""
    host = SeriesHost("macd-v", MacdV)
    for candle in [*warm, *fed]:
        host.commit(candle)
    return len(warm) + len(fed)


def anew(compute: Callable[[Sequence[Candle]], object], warm: Sequence[Candle], fed: Sequence[Candle]) -> int:
    """The last bars, computed from the first of them on for each candle."""
    bars = deque(warm[-BARS:], maxlen=BARS)
    for candle in fed:
        bars.append(candle)
        compute(list(bars))
    return len(fed)


def fused(bars: Sequence[Candle]) -> object:
    """One pass over local numbers: the least that plain Python takes."""
    indicator = FusedMacdV()
    for candle in bars:
        value = indicator.update(candle.high, candle.low, candle.close)
    return value


def by_talib(bars: Sequence[Candle]) -> object:
    """TA-Lib's batch functions on columns made for the call."""
    high, low, close = (
        numpy.array([getattr(candle, name) for candle in bars], dtype=float) for name in ("high", "low", "close")
    )
    line = 100.0 * (talib.EMA(close, 12) - talib.EMA(close, 26)) / talib.ATR(high, low, close, 26)
    return line[-1], talib.EMA(line[26:], 9)[-1]


def by_talipp(warm: Sequence[Candle], fed: Sequence[Candle]) -> int:
    """Its averages keep all that they were given; the line and its signal are put together from them."""
    fast, slow, atr, signal = EMA(12), EMA(26), ATR(26), EMA(9)
    for candle in [*warm, *fed]:
        fast.add(candle.close)
        slow.add(candle.close)
        atr.add(OHLCV(candle.open, candle.high, candle.low, candle.close, candle.volume))
        if atr[-1]:
            signal.add(100.0 * (fast[-1] - slow[-1]) / atr[-1])
    return len(warm) + len(fed)


def held(make: Callable[[], object]) -> int:
    """Bytes of one of many that are alive together."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    alive = [make() for _ in range(HOSTS)]
    size = (tracemalloc.get_traced_memory()[0] - before) // len(alive)
    tracemalloc.stop()
    return size


def warmed(rows: Sequence[Candle]) -> SeriesHost:
    """A host as it lives: with the snapshot to replay from and the younger one."""
    host = SeriesHost("macd-v", MacdV)
    host.rebuild(rows[:DEPTH])
    for candle in rows[DEPTH:]:
        host.commit(candle)
    return host


def main() -> None:
    rows = walk(1, DEPTH + FED)
    warm, fed = rows[:DEPTH], rows[DEPTH:]
    ways: dict[str, Callable[[Sequence[Candle], Sequence[Candle]], int]] = {
        "update": in_place,
        "host": through_host,
        "fused_200": partial(anew, fused),
        "lists_200": partial(anew, slow_macd_v),
        "talib_200": partial(anew, by_talib),
        "talipp": by_talipp,
    }
    times = dict(zip(ways, per_call([partial(way, warm, fed) for way in ways.values()]), strict=True))
    ours = times["update"]
    print(json.dumps({"benchmark": "macd_v_in_place", "us": {name: round(time, 2) for name, time in times.items()}}))
    ratios = {name: round(time / ours, 1) for name, time in times.items() if name != "update"}
    print(json.dumps({"benchmark": "macd_v_times_slower", **ratios, "at_least": {"lists_200": 30}}))
    sizes = {"indicator_bytes": held(MacdV), "host_bytes": held(partial(warmed, walk(2, DEPTH + 80)))}
    print(json.dumps({"benchmark": "memory_of_macd_v", **sizes}))


if __name__ == "__main__":
    main()
