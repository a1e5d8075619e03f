"""The installed types of indicators: found by name, made with parameters, and listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import click

from livermore_core.cli.output import show
from livermore_core.config.constructors import Constructor, Parameter, constructor_of
from livermore_core.errors import LivermoreError, PluginError
from livermore_core.masking import harmless
from livermore_core.plugins import Plugins, blamed

COLUMNS = ("name", "plugin", "parameters", "outputs", "warmup", "settle", "summary")


class IndicatorCode(NamedTuple):
    """The class of an indicator, or whatever makes one, and what it takes."""

    make: Any
    parameters: Constructor


def code_of(plugins: Plugins, name: str) -> IndicatorCode:
    """The code of an installed indicator. Raises PluginError where it does not load, click.BadParameter for no name."""
    if name not in plugins.indicators:
        raise _missing(plugins, name)
    make = plugins.code("register_indicators", name, plugins.indicators[name].reference)
    owner = plugins.owner("register_indicators", name)
    with blamed(f"plugin {owner.name!r} ({owner.source}): indicator {name!r} cannot be made", PluginError):
        return IndicatorCode(make, constructor_of(make))


def tell_broken(plugins: Plugins) -> None:
    """A line on stderr for every plugin that did not load: what it offers is missing."""
    for plugin in plugins.found:
        if plugin.state == "broken":
            _say(f"plugin {plugin.name!r} ({plugin.source}) is broken: {plugin.cause}")


def list_types(plugins: Plugins, format: str) -> None:
    """Print every indicator that can be used; those that cannot are named on stderr."""
    tell_broken(plugins)
    rows = []
    for name in plugins.indicators:
        try:
            rows.append(_row(plugins, name))
        except LivermoreError as error:
            _say(str(error))
    if not format.startswith("json"):
        rows = [row | {"parameters": _shown(row["parameters"]), "outputs": ", ".join(row["outputs"])} for row in rows]
    show(rows, COLUMNS, format)


def _row(plugins: Plugins, name: str) -> dict[str, Any]:
    code, owner = code_of(plugins, name), plugins.owner("register_indicators", name)
    known = code.parameters.known.values()
    with blamed(f"plugin {owner.name!r} ({owner.source}): indicator {name!r} cannot be made", PluginError):
        # One that cannot be made without being told more says what its class says.
        made = code.make if any(each.is_required for each in known) else code.make()
        is_made = made is not code.make
        return {
            "name": name,
            "plugin": owner.name,
            "parameters": [_told(each) for each in known],
            "outputs": list(made.outputs),
            "warmup": made.warmup if is_made else None,
            "settle": made.settle if is_made else None,
            "summary": plugins.indicators[name].summary,
        }


def _told(parameter: Parameter) -> dict[str, Any]:
    """As JSON; one that must be given has no default."""
    told = {"name": parameter.name, "type": parameter.type}
    return told if parameter.is_required else told | {"default": _plain(parameter.default)}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _shown(parameters: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{told['name']}={told['default']}" if "default" in told else f"{told['name']} (required)"
        for told in parameters
    )


def _missing(plugins: Plugins, name: str) -> Exception:
    """Nothing offers that name: a slip of the user, unless a plugin of that name did not load."""
    reason = plugins.missing("indicator", name, plugins.indicators)
    if plugins.absent(name) is not None:
        return PluginError(f"{name}: {reason}")
    return click.BadParameter(harmless(f"{name!r}: {reason}"), param_hint="'NAME'")


def _say(text: str) -> None:
    click.echo(f"livermore: {harmless(' '.join(text.split()))}", err=True)
