"""What the constructor of an indicator takes, and what a user typed for it as NAME=VALUE."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from livermore_core.errors import near
from livermore_core.masking import harmless

BOOLEANS = {"true": True, "false": False}
WORDS = {"int": "a whole number", "float": "a finite number", "bool": "true or false"}


class Parameter(NamedTuple):
    """One argument of a constructor; `type` is its annotation, or what its default is; "" where nothing tells."""

    name: str
    type: str
    default: Any = None
    is_required: bool = False


class Parameters(NamedTuple):
    """Every argument of a constructor; `is_open` where it takes any other name too."""

    known: dict[str, Parameter]
    is_open: bool

    def given(self, typed: Sequence[str]) -> dict[str, Any]:
        """The values of `NAME=VALUE` texts. Raises click.BadParameter with the name that is wrong, and why."""
        values: dict[str, Any] = {}
        for text in typed:
            name, sign, value = text.partition("=")
            if not sign:
                raise _wrong(f"{text!r}: write NAME=VALUE")
            if name in values:
                raise _wrong(f"{name} is given twice")
            if name not in self.known and not self.is_open:
                takes = ", ".join(self.known) or "none"
                raise _wrong(f"unknown parameter {name!r}{near(name, self.known)}; it takes: {takes}")
            values[name] = _value(self.known.get(name, Parameter(name, "")), value)
        missing = [name for name, each in self.known.items() if each.is_required and name not in values]
        if missing:
            raise _wrong(f"{missing[0]} has no default: --param {missing[0]}=VALUE")
        return values


def parameters_of(make: Any) -> Parameters:
    """What calling `make` takes. Raises TypeError or ValueError where it cannot be called."""
    taken = inspect.signature(make).parameters.values()
    named = [each for each in taken if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return Parameters(
        {each.name: _parameter(each) for each in named}, any(each.kind is each.VAR_KEYWORD for each in taken)
    )


def _parameter(taken: inspect.Parameter) -> Parameter:
    is_required = taken.default is taken.empty
    default = None if is_required else taken.default
    return Parameter(taken.name, _type(taken.annotation, default), default, is_required)


def _type(annotation: Any, default: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "" if default is None else type(default).__name__
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


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
