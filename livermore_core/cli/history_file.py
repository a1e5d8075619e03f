"""A file of candle history from elsewhere, checked row by row: what is wrong is told with line, column and mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from livermore_core.cli.candle_file import FIELDS, number_of, read_rows, time_of, wrong
from livermore_core.market.candle import IMPORT, Candle
from livermore_core.market.timeframe import floor, iso, width

# Rows between two signs of life.
AT_ONCE = 1000


class HistoryFile(msgspec.Struct):
    """By bucket its candle, None where the file says that nothing traded; `repeated` rows were there before, equal."""

    buckets: dict[int, Candle | None] = msgspec.field(default_factory=dict)
    repeated: int = 0


def read_history(
    path: Path, timeframe: str, now: float, advance: Callable[[int], None] = lambda rows: None
) -> HistoryFile:
    """The whole file, in whatever order its rows are. Raises click.UsageError for the first row that is wrong.

    `advance` is told of each thousand rows.
    """
    history, lines = HistoryFile(), dict[int, int]()
    for number, (line, row) in enumerate(read_rows(path), 1):
        if number % AT_ONCE == 0:
            advance(AT_ONCE)
        try:
            if None in row:
                raise ValueError("there are more cells than columns; see whether a number has a comma in it")
            time = time_of(row)
            _check_time(time, timeframe, now)
            candle = _candle(time, row)
            if time not in lines:
                history.buckets[time], lines[time] = candle, line
            elif candle != history.buckets[time]:
                raise ValueError(f"time {iso(time)} is in line {lines[time]} too, with other values; remove one")
            else:
                history.repeated += 1
        except ValueError as error:
            raise wrong(path, line, str(error)) from None
    return history


def _check_time(time: int, timeframe: str, now: float) -> None:
    bucket = floor(time, timeframe)
    if bucket != time:
        raise ValueError(
            f"time {iso(time)} does not begin a bucket of {timeframe}; name each by its open time, here {iso(bucket)}"
        )
    if time < 0:
        raise ValueError(f"time {iso(time)} is before 1970; write UNIX seconds, milliseconds or ISO 8601")
    if time + width(timeframe) > now:
        raise ValueError(f"time {iso(time)}: its bucket has not ended; leave out what is open or yet to come")


def _candle(time: int, row: Mapping[str, Any]) -> Candle | None:
    """Of a bucket without volume no price is a fact, or need be there: nothing traded."""
    if number_of(row, "volume") == 0:
        return None
    opening, high, low, close, volume = numbers = [number_of(row, name) for name in FIELDS]
    for name, number in zip(FIELDS, numbers, strict=True):
        if not 0 < number < inf:
            raise ValueError(
                f"{name} must be above 0 and finite, is {number:g}; a volume of 0 says that nothing traded"
            )
    for name, price in (("open", opening), ("close", close)):
        if not low <= price <= high:
            raise ValueError(f"{name} {price!r} is not within low {low!r} and high {high!r}; see what each column is")
    return Candle(time, opening, high, low, close, volume, source=IMPORT)
