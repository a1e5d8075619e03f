"""Whether a tree has known keys, the right types and sound numbers, and no secret where none belongs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from pydantic import BaseModel, ValidationError

from livermore_core.config.layers import DEFAULT, KeyPath, Layers
from livermore_core.config.schema import Leaf, Node, variable
from livermore_core.errors import near
from livermore_core.plugins import Plugins

LONGEST = 80


class Shape:
    """Checks a tree against the schema; what is wrong goes to `problems`, with the place it came from."""

    def __init__(self, layers: Layers, schema: Mapping[str, Any], plugins: Plugins, problems: list[str]) -> None:
        self.layers, self.schema, self.plugins, self.problems = layers, schema, plugins, problems

    def problem(self, path: KeyPath, reason: str) -> None:
        """Note what is wrong with a key: `file: table.key: reason`, or `LIVERMORE_NAME: reason`."""
        origin, key = self.layers.origin(path), ".".join(path)
        if origin == variable(path):
            self.problems.append(f"{origin}: {reason}")
        else:
            self.problems.append(f"{key}: {reason}" if origin == DEFAULT else f"{origin}: {key}: {reason}")

    def known(self, values: Mapping[str, Any], schema: Mapping[str, Any], path: KeyPath = ()) -> dict[str, Any]:
        """The part of a tree that has known keys and the right types."""
        kept: dict[str, Any] = {}
        for key, value in values.items():
            node = schema.get(key)
            if node is None:
                self.problem((*path, key), self._unknown(key, schema, path))
            elif reason := self._wrong((*path, key), value, node):
                self.problem((*path, key), reason)
            else:
                is_table = isinstance(node, Mapping)
                kept[key] = self.known(value, node, (*path, key)) if is_table else value
        return kept

    def validated(self, model: type[BaseModel], values: Mapping[str, Any], path: KeyPath = ()) -> Any:
        """An instance of a model; what it refuses becomes a problem, and its default stands."""
        values = dict(values)
        while True:
            try:
                return model.model_validate(values)
            except ValidationError as error:
                refused = {str(each["loc"][0]) for each in error.errors() if each["loc"]} & set(values)
                for each in error.errors():
                    location = tuple(str(part) for part in each["loc"])
                    self.problem((*path, *location), _reason(each["msg"]) + self._bounds((*path, *location)))
                if not refused:
                    return model.model_construct(**values)
                values = {key: value for key, value in values.items() if key not in refused}

    def _unknown(self, key: str, schema: Mapping[str, Any], path: KeyPath) -> str:
        if path == ("exchanges",):
            return self.plugins.missing("exchange", key, schema)
        if path[:1] == ("plugins",) and not schema:
            return "unknown key, this plugin has no settings"
        return f"unknown key{near(key, schema)}"

    def _wrong(self, path: KeyPath, value: Any, node: Node) -> str:
        if not isinstance(node, Leaf):
            return "" if isinstance(value, dict) else "must be a table"
        if node.is_secret and not self.layers.origin(path).startswith("LIVERMORE_"):
            return f"a secret does not belong here; set {self._instead(path)}"
        if isinstance(value, str) and node.is_list:
            return f'must be a list, e.g. {path[-1]} = ["{value[:LONGEST]}"]'
        if isinstance(value, float) and not math.isfinite(value):
            return f"must be a {node.type_name}, is {value}{_allowed(node)}"
        if isinstance(value, bool) and bool not in node.kinds:
            return f"must be a {node.type_name}, is {str(value).lower()}{_allowed(node)}"
        if isinstance(value, str) and node.kinds - {NoneType} <= {int, float, bool}:
            return f"must be a {node.type_name}, is {value[:LONGEST]!r}{_allowed(node)}"
        return ""

    def _instead(self, path: KeyPath) -> str:
        fields: Mapping[str, Any] = self.schema[path[0]][path[1]]
        files = [".".join((*path[:-1], name)) for name in fields if name.endswith("_file")]
        return " or ".join([variable(path), *files])

    def _bounds(self, path: Sequence[str]) -> str:
        node: Any = self.schema
        for part in path:
            node = node.get(part) if isinstance(node, Mapping) else node
        return _allowed(node) if isinstance(node, Leaf) else ""


def _allowed(leaf: Leaf) -> str:
    return f" (allowed: {leaf.bounds})" if leaf.bounds else ""


def _reason(message: str) -> str:
    """A message of pydantic in our words."""
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return " ".join(message.split())
