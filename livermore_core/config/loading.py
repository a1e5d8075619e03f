"""File, environment and flags become one validated object, or every problem there is, told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from livermore_core.config import environment
from livermore_core.config import file as files
from livermore_core.config.layers import COMMAND_LINE, Layers
from livermore_core.config.quick import choose, split
from livermore_core.config.required import required_plugins
from livermore_core.config.rules import Rules
from livermore_core.config.schema import tree
from livermore_core.config.settings import Settings
from livermore_core.config.shape import Shape
from livermore_core.errors import ConfigurationError, PluginError
from livermore_core.plugins import Plugins


def load(
    plugins: Plugins,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    exchanges: Sequence[str] = (),
    symbols: Sequence[str] = (),
    timeframes: Sequence[str] = (),
    problems: list[str] | None = None,
) -> Settings:
    """The settings of a run. Raises ConfigurationError with one line for each thing that is wrong.

    `overrides` are flags as a tree, e.g. {"store": url}; `exchanges`, `symbols`, `timeframes` are those of the flags.
    With a list of `problems` those lines go there, nothing is raised for them, and defaults stand for what is wrong.
    """
    environ = os.environ if environ is None else environ
    is_patient = problems is not None
    problems = [] if problems is None else problems
    problems += plugins.conflicts
    models = _models(plugins, problems)
    schema = tree(models, [plugin.name for plugin in plugins.found])
    layers = Layers()
    path = files.find(file, environ)
    if path is not None:
        layers.add(_read(path, problems), str(path))
    found, wrong, notes = environment.read(environ, schema)
    problems += wrong
    for key, value, variable in found:
        layers.put(key, value, variable)
    _only_from_environment(layers, environ)
    layers.add(dict(overrides or {}), COMMAND_LINE)
    followed = _followed(layers, plugins, exchanges)
    _flags(layers, followed, exchanges, symbols, timeframes)
    shape = Shape(layers, schema, plugins, problems)
    settings = Rules(layers, shape, plugins, models, notes).settings(followed, path)
    required, missing = required_plugins(layers, plugins, followed, settings)
    problems += missing
    if problems and not is_patient:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)))
    update = {"required": required, "notes": tuple(dict.fromkeys(notes)), "origins": layers.origins()}
    return settings.model_copy(update=update)


def _models(plugins: Plugins, problems: list[str]) -> dict[str, type[BaseModel]]:
    models: dict[str, type[BaseModel]] = {}
    for name, exchange in plugins.exchanges.items():
        try:
            models[name] = plugins.code("register_exchanges", name, exchange.settings)
        except PluginError as error:
            problems.append(str(error))
    return models


def _read(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return files.read(path)
    except ConfigurationError as error:
        problems.append(str(error))
        return {}


def _only_from_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    only = split(environ.get("LIVERMORE_ONLY_PLUGINS", ""))
    if only:
        layers.put(("plugins", "only"), only, "LIVERMORE_ONLY_PLUGINS")


def _followed(layers: Layers, plugins: Plugins, asked: Sequence[str]) -> tuple[str, ...]:
    exchanges = layers.table("exchanges")
    with_symbols = [name for name in sorted(exchanges) if layers.table("exchanges", name).get("symbols")]
    return choose(asked, with_symbols, plugins.exchanges)


def _flags(
    layers: Layers,
    followed: Sequence[str],
    exchanges: Sequence[str],
    symbols: Sequence[str],
    timeframes: Sequence[str],
) -> None:
    for name in exchanges:
        layers.name(("exchanges", name), COMMAND_LINE)
    if symbols:
        for name in followed:
            layers.put(("exchanges", name, "symbols"), list(symbols), COMMAND_LINE)
    if timeframes:
        layers.put(("timeframes",), list(timeframes), COMMAND_LINE)
        # What is fetched follows what is kept, whatever the file says of another set of timeframes.
        layers.remove(("backfill_timeframes",))
