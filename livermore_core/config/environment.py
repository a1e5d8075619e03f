"""LIVERMORE_... variables as a tree: `__` between levels, `_` for a dash, lists as JSON or with commas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from livermore_core.config.quick import split
from livermore_core.config.schema import ANYTHING, Leaf, Node, Open, Parameters, leaves, variable
from livermore_core.config.usable import unusable
from livermore_core.errors import near

PREFIX = "LIVERMORE_"
OUTSIDE = frozenset({"LIVERMORE_ONLY_PLUGINS", "LIVERMORE_CONFIG", "LIVERMORE_TRACE"})

Path_ = tuple[str, ...]


def read(environ: Mapping[str, str], schema: Node) -> tuple[list[tuple[Path_, Any, str]], list[str], list[str]]:
    """What the environment sets as (path, value, variable), the problems, and notes on empty variables."""
    found: list[tuple[Path_, Any, str]] = []
    problems: list[str] = []
    notes: list[str] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in OUTSIDE:
            continue
        path, node = _locate(name, schema)
        if node is None:
            problems.append(f"{name}: unknown name{_near(name, schema)}")
        elif not environ[name].strip():
            notes.append(f"{name} is set but empty, and counts as not set")
        else:
            _take(path, node, environ[name], name, found.append, problems)
    return found, problems, notes


def _near(name: str, schema: Node) -> str:
    """The nearest known name, compared without the prefix that all of them share."""
    known = [*(variable(leaf) for leaf, _ in leaves(schema)), *OUTSIDE]
    text = near(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known])
    return text.replace("'", f"'{PREFIX}", 1)


def _locate(name: str, schema: Node) -> tuple[Path_, Node | None]:
    node: Node = schema
    path: Path_ = ()
    for part in name.removeprefix(PREFIX).lower().split("__"):
        if isinstance(node, Open):
            # The first level below holds names, which have dashes; parameters have underscores.
            path, node = (*path, part.replace("_", "-")), Parameters()
        elif isinstance(node, Parameters):
            path, node = (*path, part), ANYTHING
        elif isinstance(node, Leaf):
            return path, None
        else:
            match = next((key for key in node if key.replace("-", "_") == part), None)
            if match is None:
                return path, None
            path, node = (*path, match), node[match]
    return path, node


def _take(
    path: Path_,
    node: Node,
    text: str,
    name: str,
    take: Callable[[tuple[Path_, Any, str]], None],
    problems: list[str],
) -> None:
    value = value_of(text, node) if isinstance(node, Leaf) else _json(text)
    if reason := unusable(value):
        problems.append(f"{name}: {reason}")
    elif isinstance(node, Leaf) or isinstance(value, dict):
        take((path, value, name))
    else:
        problems.append(f'{name}: must be a table as JSON, e.g. {{"key": 1}}, or name a key: {name}__KEY')


def value_of(text: str, leaf: Leaf) -> Any:
    """The value that a text stands for where `leaf` is expected; the text itself where it stands for nothing."""
    if leaf.is_list:
        return split(text)
    if leaf.kinds & {str, SecretStr, Path}:
        return text.strip()
    value = _json(text)
    return text.strip() if value is None else value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
