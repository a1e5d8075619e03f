"""Candles of a file: csv, json or jsonl, as `livermore candles` prints them; what is wrong is told with its line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import moment_of
from livermore_core.errors import near
from livermore_core.market.candle import Candle
from livermore_core.masking import harmless

# Digits of a time that is in milliseconds.
MILLISECONDS = (12, 13, 14)
FIELDS = ("open", "high", "low", "close", "volume")
# What stands between the objects of an array, or of lines.
BETWEEN = re.compile(r"[\s,\[\]]*")

Row = tuple[int, Mapping[str, Any]]


def read_candles(path: Path) -> list[Candle]:
    """The candles, oldest first. Raises click.UsageError that names file, line and reason."""
    candles: list[Candle] = []
    for line, row in read_rows(path):
        try:
            candle = Candle(*values_of(row))
        except ValueError as error:
            raise wrong(path, line, str(error)) from None
        if candles and candle.time <= candles[-1].time:
            raise wrong(path, line, f"time {row['time']} is not after the candle before it")
        candles.append(candle)
    return candles


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file by column, each with its line. Raises click.UsageError, also where there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    row = None
    for row in _objects(path, text) if text.lstrip()[:1] in ("[", "{") else _records(path, text):
        yield row
    if row is None:
        raise click.UsageError(f"{path}: there is no candle in it")


def values_of(row: Mapping[str, Any]) -> tuple[int, float, float, float, float, float]:
    """Time, open, high, low, close and volume of a row. Raises ValueError that names the column."""
    for name in ("time", *FIELDS):
        if row.get(name) is None:
            raise ValueError(f"there is no {name}{near(name, [str(key) for key in row if key != name])}")
    opening, high, low, close, volume = (_number(name, row[name]) for name in FIELDS)
    return _moment(str(row["time"])), opening, high, low, close, volume


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


def _records(path: Path, text: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise wrong(path, reader.line_num, str(error)) from None


def _moment(text: str) -> int:
    """UNIX seconds of a time in seconds, milliseconds or ISO 8601."""
    if text.isdecimal() and len(text) in MILLISECONDS:
        if not text.endswith("000"):
            raise ValueError(f"time {text} is no whole second")
        text = text[:-3]
    try:
        return moment_of(text) or 0
    except click.BadParameter as error:
        raise ValueError(error.message) from None


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    except (TypeError, ValueError):
        raise ValueError(f"{name} is no number: {value!r:.40}") from None


def wrong(path: Path, line: int, reason: str) -> click.UsageError:
    """What to raise of a line."""
    return click.UsageError(harmless(f"{path}:{line}: {reason}"))
