"""Every key that may be set, as one tree: the core's own, each exchange's, each plugin's."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from livermore_core.config.settings import CoreSettings, PluginSettings
from livermore_core.market.timeframe import WIDTHS

LISTS = (tuple, list, set, frozenset)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key: the types it takes, its default, its meaning and its bounds in words."""

    kinds: frozenset[Any]
    default: Any = None
    meaning: str = ""
    bounds: str = ""

    @property
    def is_secret(self) -> bool:
        return SecretStr in self.kinds

    @property
    def is_list(self) -> bool:
        return bool(self.kinds & set(LISTS))

    @property
    def type_name(self) -> str:
        """The types in words."""
        words = {_WORDS.get(kind, getattr(kind, "__name__", str(kind))) for kind in self.kinds - {types.NoneType}}
        return " or ".join(sorted(words)) or "any"


@dataclass(frozen=True, slots=True)
class Open:
    """A table whose keys are names of the user's own, each with a table of parameters."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A table of parameters that only the code they go to knows."""


ANYTHING = Leaf(frozenset({Any}))
Node = Leaf | Open | Parameters | Mapping[str, Any]

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "boolean",
    Path: "path",
    SecretStr: "secret",
    Any: "any",
    dict: "table",
    **dict.fromkeys(LISTS, "list"),
}


def tree(models: Mapping[str, type[BaseModel]], plugin_names: list[str]) -> dict[str, Any]:
    """The tree of keys for these exchanges' models and these plugins."""
    core = fields(CoreSettings)
    core["retention"] = {timeframe: Leaf(frozenset({int}), meaning="candles kept") for timeframe in WIDTHS}
    core["plugins"] = {**{name: {} for name in plugin_names}, **fields(PluginSettings)}
    core["exchanges"] = {name: fields(model) for name, model in models.items()}
    core["indicators"] = Open()
    return core


def fields(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a model."""
    return {name: _leaf(field) for name, field in model.model_fields.items()}


def leaves(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    """Every leaf below a node, with its path."""
    if isinstance(node, Leaf):
        yield path, node
    elif isinstance(node, Mapping):
        for name, child in node.items():
            yield from leaves(child, (*path, name))


def variable(path: tuple[str, ...]) -> str:
    """The name of a key in the environment."""
    return "LIVERMORE_" + "__".join(part.replace("-", "_").upper() for part in path)


def _leaf(field: FieldInfo) -> Leaf:
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return Leaf(_kinds(field.annotation), default, field.description or "", bounds(field))


def bounds(field: FieldInfo) -> str:
    """The allowed range of a number in words, "" where there is none."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [
        f"{sign} {getattr(each, name)}"
        for each in field.metadata
        for name, sign in signs.items()
        if getattr(each, name, None) is not None
    ]
    return " and ".join(limits)


def _kinds(annotation: Any) -> frozenset[Any]:
    """The types at the top of an annotation: `tuple[str, ...] | None` gives tuple and NoneType."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return frozenset().union(*(_kinds(each) for each in get_args(annotation)))
    if origin is Literal:
        return frozenset(type(each) for each in get_args(annotation))
    return frozenset({origin or annotation})
