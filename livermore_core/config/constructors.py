"""What the constructor of an indicator takes: names, types as far as they are told, defaults."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

# The types that are checked, and how a message calls them.
WORDS = {"int": "a whole number", "float": "a finite number", "bool": "true or false", "str": "a text"}


class Parameter(NamedTuple):
    """One argument of a constructor; `type` is its annotation, or what its default is; "" where nothing tells."""

    name: str
    type: str
    default: Any = None
    is_required: bool = False

    def takes(self, value: Any) -> bool:
        """Whether a value is of the type that is told; where none of ours is, anything is."""
        match self.type:
            case "int":
                return isinstance(value, int) and not isinstance(value, bool)
            case "float":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "bool":
                return isinstance(value, bool)
            case "str":
                return isinstance(value, str)
        return True


class Constructor(NamedTuple):
    """Every argument of a constructor; `is_open` where it takes any other name too."""

    known: dict[str, Parameter]
    is_open: bool


def constructor_of(make: Any) -> Constructor:
    """What calling `make` takes. Raises TypeError or ValueError where it cannot be called."""
    taken = inspect.signature(make).parameters.values()
    named = [each for each in taken if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return Constructor(
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
