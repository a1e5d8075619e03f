"""What a user typed as NAME=VALUE for the constructor of an indicator."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import click

from livermore_core.config.constructors import WORDS, Constructor, Parameter
from livermore_core.errors import near
from livermore_core.masking import harmless

BOOLEANS = {"true": True, "false": False}


def given_of(parameters: Constructor, typed: Sequence[str]) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts. Raises click.BadParameter with the name that is wrong, and why."""
    values: dict[str, Any] = {}
    for text in typed:
        name, sign, value = text.partition("=")
        if not sign:
            raise _wrong(f"{text!r}: write NAME=VALUE")
        if name in values:
            raise _wrong(f"{name} is given twice")
        if name not in parameters.known and not parameters.is_open:
            takes = ", ".join(parameters.known) or "none"
            raise _wrong(f"unknown parameter {name!r}{near(name, parameters.known)}; it takes: {takes}")
        values[name] = _value(parameters.known.get(name, Parameter(name, "")), value)
    missing = [name for name, each in parameters.known.items() if each.is_required and name not in values]
    if missing:
        raise _wrong(f"{missing[0]} has no default: --param {missing[0]}=VALUE")
    return values


def _value(parameter: Parameter, text: str) -> Any:
    """The text as the type that is expected; where none of ours is, what it is as JSON, or else the text."""
    try:
        match parameter.type:
            case "int":
                return int(text)
            case "float":
                return _finite(text)
            case "bool":
                return BOOLEANS[text.strip().lower()]
            case "str":
                return text
    except (ValueError, KeyError):
        raise _wrong(f"{parameter.name} must be {WORDS[parameter.type]}, is {text[:80]!r}") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _wrong(reason: str) -> click.BadParameter:
    return click.BadParameter(harmless(reason), param_hint="'--param'")
