"""Makes what a run writes to its store: candles that close one after the other, and pages of history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

from livermore_core import Batch, Candle, Event, Series, SeriesChange, width

SYMBOLS = [f"S{number}-USD" for number in range(25)]
TIMEFRAMES = ("1m", "5m", "15m", "1h")
SERIES = [Series("coinbase", symbol, timeframe) for symbol in SYMBOLS for timeframe in TIMEFRAMES]
PAGE, PAGES = 300, 5
START = 1_790_000_000 // 86_400 * 86_400
Group = list[Batch]


def candle(series: Series, position: int, chance: random.Random) -> Candle:
    """The candle of a series at a position; its prices have cents, its volume hundred-millionths."""
    low = round(chance.uniform(50.0, 60_000.0), 2)
    high, middle = round(low * 1.002, 2), round(low * 1.001, 2)
    time = START + position * width(series.timeframe)
    return Candle(time, middle, high, low, middle, round(chance.uniform(0.1, 50.0), 8))


def live() -> Iterator[Group]:
    """Turns of an hour: for each symbol a candle in each timeframe, each a batch of its own, as they close."""
    chance = random.Random(1)
    for position in count():
        yield [closed(series, candle(series, position, chance)) for series in SERIES]


def closed(series: Series, row: Candle) -> Batch:
    """One candle, its coverage and its announcement."""
    exchange, symbol, timeframe = series
    said = Event(
        kind="candle.closed", exchange=exchange, symbol=symbol, timeframe=timeframe, time=row.time, candle=row
    )  # fmt: skip
    covered = [(row.time, row.time + width(timeframe))]
    return Batch(changes=[SeriesChange(series=series, rows=[row], covered=covered)], events=[said])


def history() -> Iterator[Group]:
    """Pages as a backfill brings them: several series at once, the next page of each in turn."""
    chance = random.Random(2)
    for number in count():
        turn, first = divmod(number * PAGES, len(SERIES))
        yield [page(series, turn, chance) for series in SERIES[first : first + PAGES]]


def page(series: Series, number: int, chance: random.Random) -> Batch:
    """The rows of an answer, their coverage and their announcement."""
    exchange, symbol, timeframe = series
    rows = [candle(series, number * PAGE + position, chance) for position in range(PAGE)]
    start, until = rows[0].time, rows[-1].time + width(timeframe)
    said = Event(
        kind="candles.backfilled", exchange=exchange, symbol=symbol, timeframe=timeframe, time=start, until=until,
        count=PAGE,
    )  # fmt: skip
    return Batch(changes=[SeriesChange(series=series, rows=rows, covered=[(start, until)])], events=[said])
