"""Settings for the eye: what is in force and why, every key with its meaning, and a commented file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from livermore_core.config.layers import DEFAULT
from livermore_core.config.schema import Leaf, fields, leaves, tree
from livermore_core.config.settings import CoreSettings, PluginSettings, Settings
from livermore_core.errors import PluginError
from livermore_core.plugins import Plugins

MASK = "***"
INDICATORS = "parameters; `use` names the type, `symbols` and `timeframes` by glob the series (all if not set)"
# Shown in the commented file for keys that are not set by default.
EXAMPLES: dict[Any, Any] = {int: 300, float: 5.0, Path: "coinbase_key.json", str: "json"}
PASSWORD = re.compile(r"(?<=://)([^/\s@:]*):[^/\s@]+(?=@)")


def effective(settings: Settings) -> list[dict[str, Any]]:
    """Every setting in force as rows of key, value and origin, secrets masked."""
    return [
        {"key": key, "value": _shown(value), "origin": _origin(settings, key)} for key, value in _in_force(settings)
    ]


def describe(plugins: Plugins) -> list[dict[str, Any]]:
    """Every key that may be set as rows of key, type, default and meaning."""
    schema = tree(_models(plugins), [])
    rows = [_row(".".join(path), leaf) for path, leaf in leaves(schema) if path[0] != "retention"]
    rows += [
        {"key": "retention.<timeframe>", "type": "whole number", "default": None, "meaning": _meaning("retention")},
        {"key": "indicators.<name>", "type": "table", "default": {}, "meaning": INDICATORS},
        {"key": "plugins.<name>", "type": "table", "default": None, "meaning": "makes that plugin required"},
    ]
    return sorted(rows, key=lambda row: str(row["key"]))


def sample(plugins: Plugins) -> str:
    """A commented configuration file: every key with its meaning (##) and its default (#), all of it inactive."""
    lines = ["## livermore.toml: every key with its default. Take a # away to set one; none is needed.", ""]
    for name, leaf in fields(CoreSettings).items():
        if name not in ("plugins", "retention"):
            lines += _lines(name, leaf)
    lines += ["# [retention]", f"## {_meaning('retention')}", "# 5m = 20000", ""]
    for name, model in _models(plugins).items():
        lines += [f"# [exchanges.{name}]", ""]
        for key, leaf in fields(model).items():
            lines += [] if leaf.is_secret else _lines(key, leaf)
    lines += ["# [indicators]", f"## a name with its {INDICATORS}"]
    # In a file a dot begins a table below: a type that has one is named by `use` alone.
    dotted = [name for name in plugins.indicators if "." in name]
    lines += [f"# {name} = {{}}" for name in plugins.indicators if name not in dotted]
    lines += [f'# mine = {{ use = "{dotted[0]}" }}'] if dotted else []
    lines += ["", "# [plugins]", ""]
    for name, leaf in fields(PluginSettings).items():
        lines += _lines(name, leaf)
    return "\n".join(lines).rstrip() + "\n"


def _in_force(settings: Settings) -> Iterator[tuple[str, Any]]:
    for name in CoreSettings.model_fields:
        value: Any = settings.history if name == "depth" else getattr(settings, name)
        if name == "retention":
            yield from ((f"retention.{timeframe}", count) for timeframe, count in value.items())
        elif isinstance(value, BaseModel):
            yield from ((f"{name}.{key}", getattr(value, key)) for key in type(value).model_fields)
        else:
            yield name, value
    for name, model in settings.exchanges.items():
        yield from ((f"exchanges.{name}.{key}", getattr(model, key, None)) for key in type(model).model_fields)
    for name, parameters in settings.indicators.items():
        yield f"indicators.{name}", parameters
    yield "followed", settings.followed


def _origin(settings: Settings, key: str) -> str:
    if key in settings.origins:
        return settings.origins[key]
    return next((origin for path, origin in settings.origins.items() if path.startswith(f"{key}.")), DEFAULT)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, str):
        return PASSWORD.sub(rf"\1:{MASK}", value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _models(plugins: Plugins) -> dict[str, type[BaseModel]]:
    """The models that load; `describe` and `init` work with any plugin broken."""
    models: dict[str, type[BaseModel]] = {}
    for name, exchange in plugins.exchanges.items():
        try:
            models[name] = plugins.code("register_exchanges", name, exchange.settings)
        except PluginError:
            continue
    return models


def _row(key: str, leaf: Leaf) -> dict[str, Any]:
    kind = f"{leaf.type_name}, {leaf.bounds}" if leaf.bounds else leaf.type_name
    return {"key": key, "type": kind, "default": _shown(leaf.default), "meaning": leaf.meaning}


def _lines(name: str, leaf: Leaf) -> list[str]:
    default = _shown(leaf.default)
    if default is None:
        default = next((example for kind, example in EXAMPLES.items() if kind in leaf.kinds), "")
    note = "" if leaf.default is not None or "not set" in leaf.meaning else "; not set by default"
    return [f"## {leaf.meaning}{note}", f"# {name} = {json.dumps(default)}", ""]


def _meaning(name: str) -> str:
    return CoreSettings.model_fields[name].description or ""
