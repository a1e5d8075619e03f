"""Named in the configuration = required, merely installed = optional: which plugins a run cannot do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from livermore_core.config.layers import Layers
from livermore_core.config.settings import Settings
from livermore_core.plugins import Plugin, Plugins


def required_plugins(
    layers: Layers, plugins: Plugins, followed: Sequence[str], settings: Settings
) -> tuple[frozenset[str], list[str]]:
    """The names of the required plugins, and a problem for each that does not load."""
    reasons = dict(_named(layers, plugins, followed, settings))
    by_name = {plugin.name: plugin for plugin in plugins.found}
    problems = [
        f"plugin {name!r} ({plugin.source}) is required by {reason} and {_state(plugin)}"
        for name, reason in reasons.items()
        if (plugin := by_name.get(name)) is not None and plugin.state != "ok"
    ]
    return frozenset(reasons), problems


def _named(layers: Layers, plugins: Plugins, followed: Sequence[str], settings: Settings) -> Iterator[tuple[str, str]]:
    scheme = settings.store.partition("://")[0]
    if scheme in plugins.stores:
        yield plugins.owner("register_stores", scheme).name, "`store`"
    for name in layers.table("indicators"):
        kind = settings.indicators.get(name, {}).get("use", name)
        if isinstance(kind, str) and kind in plugins.indicators:
            yield plugins.owner("register_indicators", kind).name, f"`[indicators] {name}`"
    for name in (*followed, *layers.table("exchanges")):
        for plugin in plugins.found:
            is_its = plugin.name == name or plugin.name.startswith(f"{name}-") or plugins.exchange_of(plugin) == name
            # Who disables a stage of an exchange knows that it will not run.
            if is_its and plugin.state != "disabled":
                yield plugin.name, f"the exchange {name!r}"
    for name in settings.plugins.only:
        yield name, "`plugins.only`"
    for name in layers.table("plugins"):
        if name not in ("only", "disable"):
            yield name, f"`[plugins.{name}]`"


def _state(plugin: Plugin) -> str:
    if plugin.state == "disabled":
        return "is disabled; enable it, or take its name out"
    return f"does not load: {plugin.cause}; mend or uninstall it, or disable it and take its name out"
