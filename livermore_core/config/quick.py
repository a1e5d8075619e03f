"""What must be known before any plugin is imported: which to load, and which exchanges are followed. tomllib alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livermore_core.config.file import find, read
from livermore_core.errors import ConfigurationError

USUAL = "coinbase"


@dataclass(frozen=True, slots=True)
class PluginTable:
    """`[plugins]` and the exchanges with symbols; `problem` says why the file could not be read, and defaults hold."""

    only: tuple[str, ...] | None = None
    disable: tuple[str, ...] = ()
    with_symbols: tuple[str, ...] = ()
    problem: str = ""


def plugin_table(file: Path | None = None, environ: Mapping[str, str] | None = None) -> PluginTable:
    """Read what decides about plugins. Never raises: recovery commands work with any configuration."""
    environ = os.environ if environ is None else environ
    tree: dict[str, Any] = {}
    problem = ""
    try:
        path = find(file, environ)
        tree = {} if path is None else read(path)
    except ConfigurationError as error:
        problem = str(error)
    plugins = _table(tree, "plugins")
    only = environ.get("LIVERMORE_ONLY_PLUGINS") or environ.get("LIVERMORE_PLUGINS__ONLY") or plugins.get("only")
    disable = environ.get("LIVERMORE_PLUGINS__DISABLE") or plugins.get("disable")
    return PluginTable(_words(only) or None, _words(disable), _with_symbols(tree, environ), problem)


def choose(asked: Collection[str], with_symbols: Collection[str], installed: Collection[str]) -> tuple[str, ...]:
    """The exchanges to follow: those asked for, else those given symbols, else the only one or the usual one."""
    if asked or with_symbols:
        return tuple(dict.fromkeys(asked or with_symbols))
    if len(installed) == 1:
        return tuple(installed)
    return (USUAL,) if USUAL in installed else ()


def split(text: str) -> list[Any]:
    """A list from the environment: JSON, or words with commas."""
    if text.lstrip().startswith("["):
        import json

        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, list):
            return values
    return [word.strip() for word in text.split(",") if word.strip()]


def _with_symbols(tree: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, ...]:
    exchanges = _table(tree, "exchanges")
    named = {name for name in exchanges if _table(exchanges, name).get("symbols")}
    for variable, value in environ.items():
        parts = variable.removeprefix("LIVERMORE_EXCHANGES__").split("__")
        if variable.startswith("LIVERMORE_EXCHANGES__") and parts[1:] == ["SYMBOLS"] and value.strip():
            named.add(parts[0].lower().replace("_", "-"))
    return tuple(sorted(named))


def _table(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> tuple[str, ...]:
    words: Iterable[Any] = split(value) if isinstance(value, str) else value if isinstance(value, list) else ()
    return tuple(word for word in words if isinstance(word, str))
