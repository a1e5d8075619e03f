"""Finding plugins: load each entry point by itself, record what broke, collect what they contribute."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from livermore_core import hooks
from livermore_core.contributions import Command, Exchange, IndicatorType, Store
from livermore_core.errors import PluginError, near

GROUP = "livermore"
KINDS: Mapping[str, type] = {
    "register_exchanges": Exchange,
    "register_indicators": IndicatorType,
    "register_stores": Store,
    "register_commands": Command,
}


@dataclass(slots=True)
class Plugin:
    """One entry point and what became of it; `state` is ok, disabled or broken, `cause` says why it is broken."""

    name: str
    distribution: str
    version: str
    module: str
    hooks: tuple[str, ...] = ()
    state: str = "ok"
    cause: str = ""

    @property
    def source(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}"


class Plugins:
    """What was found: every plugin with its state, and the contributions of those that are ok, by name."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hooks)
        self.found: list[Plugin] = []
        self.exchanges: dict[str, Exchange] = {}
        self.indicators: dict[str, IndicatorType] = {}
        self.stores: dict[str, Store] = {}
        self.commands: dict[str, Command] = {}
        self._owners: dict[tuple[str, str], Plugin] = {}

    def stage(self, stage: str) -> list[tuple[Plugin, Callable[..., Any], tuple[str, ...]]]:
        """The implementations of a stage, by plugin name: the plugin, its function, the arguments it wants."""
        by_name = {plugin.name: plugin for plugin in self.found}
        implementations = getattr(self.manager.hook, stage).get_hookimpls()
        return sorted(
            ((by_name[each.plugin_name], each.function, tuple(each.argnames)) for each in implementations),
            key=lambda entry: entry[0].name,
        )

    def owner(self, hook: str, name: str) -> Plugin:
        """The plugin that contributed `name` through `hook`."""
        return self._owners[hook, name]

    def add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        """Load one plugin; on any failure it is listed as broken and leaves nothing behind.

        Raises PluginError where two plugins offer one name.
        """
        self.found.append(plugin)
        try:
            module = load()
            plugin.hooks = _check(module)
            self.manager.register(module, plugin.name)
            offered = {hook: _offered(module, hook) for hook in KINDS if hook in plugin.hooks}
        except Exception as error:
            plugin.state, plugin.cause = "broken", f"{type(error).__name__}: {error}"
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            return
        for hook, values in offered.items():
            for value in values:
                self._take(plugin, hook, value)

    def _take(self, plugin: Plugin, hook: str, value: Any) -> None:
        name = value.scheme if isinstance(value, Store) else value.name
        other = self._owners.setdefault((hook, name), plugin)
        if other is not plugin:
            raise PluginError(
                f"{name!r} is offered by {other.source} and by {plugin.source} ({hook});"
                f" disable one: [plugins] disable = [{plugin.name!r}]"
            )
        table: dict[str, Any] = getattr(self, hook.removeprefix("register_"))
        table[name] = value


def load(only: Collection[str] | None = None, disable: Collection[str] = ()) -> Plugins:
    """Load the installed plugins by name; with `only`, no others. Raises PluginError for a name offered twice."""
    plugins = Plugins()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        plugin = _describe(entry)
        if entry.name in disable or (only is not None and entry.name not in only):
            plugin.state = "disabled"
            plugins.found.append(plugin)
        else:
            plugins.add(plugin, entry.load)
    return plugins


def _describe(entry: EntryPoint) -> Plugin:
    distribution = entry.dist
    name, version = (distribution.name, distribution.version) if distribution is not None else ("unknown", "0")
    return Plugin(entry.name, name, version, entry.module)


def _check(module: Any) -> tuple[str, ...]:
    """The hooks that a module implements. Raises TypeError for an unknown one, a wrong colour or a wrong argument."""
    known = {name: spec for name, spec in vars(hooks).items() if hasattr(spec, f"{GROUP}_spec")}
    found = sorted(name for name, value in vars(module).items() if hasattr(value, f"{GROUP}_impl"))
    for name in found:
        if name not in known:
            raise TypeError(f"unknown hook {name!r}{near(name, known)}")
        function = getattr(module, name)
        is_stage = name in hooks.STAGES
        if inspect.iscoroutinefunction(function) is not is_stage:
            raise TypeError(f"hook {name!r} must be {'`async def`' if is_stage else 'a plain `def`'}")
        unwanted = set(inspect.signature(function).parameters) - set(inspect.signature(known[name]).parameters)
        if unwanted:
            raise TypeError(f"hook {name!r} has no argument {sorted(unwanted)[0]!r}")
    return tuple(found)


def _offered(module: Any, hook: str) -> list[Any]:
    values = list(getattr(module, hook)())
    for value in values:
        if not isinstance(value, KINDS[hook]):
            raise TypeError(f"{hook} must yield {KINDS[hook].__name__}, yielded {value!r}")
    return values
