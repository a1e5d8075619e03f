"""JSON as Python's own reader has it, numbers as they were written: what messages are compared with."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII)
Object = dict[str, list[Any]]
"""A JSON object with every value that it gives to a name."""


def stands(values: list[tuple[float, str]], time: tuple[float, str] | None, objects: list[Object] | None) -> bool:
    """Whether one object gives all of these values."""
    if objects is None:
        return True
    return any(
        all(any(_is(text, value) for text in each.get(name, ())) for value, name in values)
        and (time is None or any(abs(moment_of(text) - time[0]) < 3e-6 for text in each.get(time[1], ())))
        for each in objects
    )


def _is(text: Any, value: float) -> bool:
    number = number_of(text)
    return number is not None and (number if isinstance(value, int) else float(text)) == value


def parsed(data: bytes) -> tuple[Any, list[Object] | None]:
    """A text of JSON, numbers as they were written, and all its objects; None, None where Python cannot read it."""
    found: list[Object] = []

    def take(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        each: Object = {}
        for name, value in pairs:
            each.setdefault(name, []).append(value)
        found.append(each)
        return dict(pairs)

    try:
        text = data.decode("utf-8", "surrogateescape")
        return json.loads(text, strict=False, parse_int=str, parse_float=str, object_pairs_hook=take), found
    except (ValueError, RecursionError):
        return None, None


def number_of(text: Any) -> float | None:
    """The number that a text is; exact where it is whole."""
    if not isinstance(text, str) or len(text) > 4000 or NUMBER.fullmatch(text) is None:
        return None
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def moment_of(text: Any) -> float:
    """The moment that a text is; nan for none."""
    match = RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        number = number_of(text)
        return float("nan") if number is None else float(number)
    day, clock_, second, fraction, sign, hours, minutes = match.groups()
    micro = int((fraction or "0").ljust(6, "0")[:6])
    if second == "60":
        second, micro = "59", 999_999
    try:
        whole = datetime.fromisoformat(f"{day}T{clock_}:{second}+00:00").timestamp()
    except ValueError:
        return float("nan")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)).total_seconds()
    return whole + micro / 1e6 - (-offset if sign == "-" else offset)


def rows_of(said: dict[str, Any], name: str) -> int:
    """How many rows a frame has, as Python counts."""
    events = said.get("events")
    lists = [event.get(name) for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    return sum(len(rows) for rows in lists if isinstance(rows, list))


def numbers_of(objects: list[Object] | None, name: str) -> list[float]:
    texts = [text for each in objects or () for text in each.get(name, ())]
    return [value for text in texts if (value := number_of(text)) is not None]
