"""Candles of a file: csv, json or jsonl, as `livermore candles` prints them; what is wrong is told with its line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import click

from livermore_core.errors import near
from livermore_core.market.candle import Candle
from livermore_core.market.timeframe import seconds_of
from livermore_core.masking import harmless

# Digits of a time that is in milliseconds.
MILLISECONDS = (12, 13, 14)
FIELDS = ("open", "high", "low", "close", "volume")
# What may stand before the first sign: spaces, and the mark of UTF-8.
BEFORE = b"\xef\xbb\xbf \t\r\n"
# What stands between the objects of an array, or of lines.
BETWEEN = re.compile(r"[\s,\[\]]*")

Row = tuple[int, Mapping[str, Any]]


def read_candles(path: Path) -> list[Candle]:
    """The candles, oldest first. Raises click.UsageError that names file, line and reason."""
    candles: list[Candle] = []
    for line, row in read_rows(path):
        try:
            time = time_of(row)
            opening, high, low, close, volume = (number_of(row, name) for name in FIELDS)
            candle = Candle(time, opening, high, low, close, volume)
        except ValueError as error:
            raise wrong(path, line, str(error)) from None
        if candles and candle.time <= candles[-1].time:
            raise wrong(path, line, f"time {row['time']} is not after the candle before it")
        candles.append(candle)
    return candles


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file by column, each with its line. Raises click.UsageError, also where there is none."""
    row = None
    try:
        with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            is_json = raw.peek().lstrip(BEFORE)[:1] in (b"[", b"{")
            for row in _objects(path, file.read()) if is_json else _records(path, file):
                yield row
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if row is None:
        raise click.UsageError(f"{path}: there is no candle in it")


def time_of(row: Mapping[str, Any]) -> int:
    """The time of a row, in seconds, milliseconds or ISO 8601, as UNIX seconds. Raises ValueError."""
    text = str(_cell(row, "time"))
    is_milliseconds = text.isdecimal() and len(text) in MILLISECONDS
    seconds = int(text) / 1000 if is_milliseconds else seconds_of(text)
    if seconds % 1:
        raise ValueError(f"time {text!r} is no whole second")
    return int(seconds)


def number_of(row: Mapping[str, Any], name: str) -> float:
    """The number in a column of a row. Raises ValueError that names the column."""
    value = _cell(row, name)
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    except (TypeError, ValueError):
        raise ValueError(f"{name} is no number: {value!r:.40}") from None


def _cell(row: Mapping[str, Any], name: str) -> Any:
    if row.get(name) is None:
        raise ValueError(f"there is no {name}{near(name, [str(key) for key in row if key != name])}")
    return row[name]


def _objects(path: Path, text: str) -> Iterator[Row]:
    """The objects of JSON, an array of them or one a line, each with the line on which it begins."""
    decoder, at, line = json.JSONDecoder(), 0, 1
    while True:
        gap = BETWEEN.match(text, at)
        begin = gap.end() if gap else at
        line += text.count("\n", at, begin)
        if begin == len(text):
            return
        try:
            value, at = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            raise wrong(path, error.lineno, f"no JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise wrong(path, line, f"no JSON: {error}") from None
        if not isinstance(value, dict):
            raise wrong(path, line, f"no candle but {value!r:.40}")
        yield line, value
        line += text.count("\n", begin, at)


def _records(path: Path, file: TextIO) -> Iterator[Row]:
    header = file.readline()
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(chain([header], file), strict=True, delimiter=delimiter)
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if header:
            _check_names(reader.fieldnames)
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise wrong(path, reader.line_num, str(error)) from None


def _check_names(names: Sequence[str]) -> None:
    lacking = [name for name in ("time", *FIELDS) if name not in names]
    if lacking:
        raise csv.Error(f"the header lacks {', '.join(lacking)}; it is {', '.join(names)!r:.200}")


def wrong(path: Path, line: int, reason: str) -> click.UsageError:
    """What to raise of a line."""
    return click.UsageError(harmless(f"{path}:{line}: {reason}"))
