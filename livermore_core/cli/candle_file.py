"""Candles of a file as `livermore candles --format csv|json|jsonl` prints them; what is wrong is told with its line."""

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

FIELDS = ("open", "high", "low", "close", "volume")
# What stands between the objects of an array, or of lines.
BETWEEN = re.compile(r"[\s,\[\]]*")

Row = tuple[int, Mapping[str, Any]]


def read_candles(path: Path) -> list[Candle]:
    """The candles, oldest first. Raises click.UsageError that names file, line and reason."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    rows = _objects(path, text) if text.lstrip()[:1] in ("[", "{") else _records(path, text)
    candles: list[Candle] = []
    for line, row in rows:
        candle = _candle(path, line, row)
        if candles and candle.time <= candles[-1].time:
            raise _wrong(path, line, f"time {row['time']} is not after the candle before it")
        candles.append(candle)
    if not candles:
        raise click.UsageError(f"{path}: there is no candle in it")
    return candles


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
            raise _wrong(path, error.lineno, f"no JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise _wrong(path, line, f"no JSON: {error}") from None
        if not isinstance(value, dict):
            raise _wrong(path, line, f"no candle but {value!r:.40}")
        yield line, value
        line += text.count("\n", begin, at)


def _records(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise _wrong(path, reader.line_num, str(error)) from None


def _candle(path: Path, line: int, row: Mapping[str, Any]) -> Candle:
    for name in ("time", *FIELDS):
        if row.get(name) is None:
            raise _wrong(path, line, f"there is no {name}{near(name, [str(key) for key in row if key != name])}")
    try:
        time = moment_of(str(row["time"]))
        opening, high, low, close, volume = (_number(name, row[name]) for name in FIELDS)
        return Candle(time or 0, opening, high, low, close, volume)
    except click.BadParameter as error:
        raise _wrong(path, line, error.message) from None
    except (ValueError, OverflowError) as error:
        raise _wrong(path, line, str(error)) from None


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is no number: {value!r:.40}") from None


def _wrong(path: Path, line: int, reason: str) -> click.UsageError:
    return click.UsageError(harmless(f"{path}:{line}: {reason}"))
