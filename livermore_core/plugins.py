"""Finding plugins: load each entry point by itself, record what broke, collect what they contribute."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from livermore_core import hooks
from livermore_core.contributions import Command, Exchange, IndicatorType, Store, resolve
from livermore_core.errors import LivermoreError, PluginError, near
from livermore_core.plugin_rules import GROUP, KINDS, check, hooks_of, offered
from livermore_core.version import __version__

BUILT_IN = {"sqlite": "livermore_core.built_in"}
CAUSE_LENGTH = 300
# Names that a message tells of; a plugin may offer hundreds.
MOST_TOLD = 30

Implementation = tuple["Plugin", Callable[..., Any], tuple[str, ...]]


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
    """What was found: every plugin with its state, and the contributions of those that are ok, sorted by name.

    `conflicts` are the names that two plugins offer, one text each: a run is refused while there are any.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hooks)
        self.found: list[Plugin] = []
        self.conflicts: list[str] = []
        self.exchanges: dict[str, Exchange] = {}
        self.indicators: dict[str, IndicatorType] = {}
        self.stores: dict[str, Store] = {}
        self.commands: dict[str, Command] = {}
        self._owners: dict[tuple[str, str], Plugin] = {}

    def stage(self, stage: str) -> list[Implementation]:
        """The implementations of a stage, by plugin name: the plugin, its function, the arguments it wants."""
        by_name = {plugin.name: plugin for plugin in self.found if plugin.state == "ok"}
        implementations = getattr(self.manager.hook, stage).get_hookimpls()
        return sorted(
            ((by_name[each.plugin_name], each.function, tuple(each.argnames)) for each in implementations),
            key=lambda entry: entry[0].name,
        )

    def owner(self, hook: str, name: str) -> Plugin:
        """The plugin that contributed `name` through `hook`. Raises KeyError where none did."""
        return self._owners[hook, name]

    def code(self, hook: str, name: str, reference: str) -> Any:
        """What the reference of a contribution names. Raises PluginError that says whose it is and why it failed."""
        plugin = self.owner(hook, name)
        with blamed(f"plugin {plugin.name!r} ({plugin.source}): {reference} does not load", PluginError):
            return resolve(reference)

    def exchange_of(self, plugin: Plugin) -> str | None:
        """The exchange whose stages a plugin runs: by its name (`<exchange>-...`), else the one of its own package."""
        for exchange in self.exchanges:
            if plugin.name == exchange or plugin.name.startswith(f"{exchange}-"):
                return exchange
        siblings = [name for name in self.exchanges if self._is_sibling(plugin, self.owner("register_exchanges", name))]
        return siblings[0] if len(siblings) == 1 else None

    def absent(self, name: str) -> Plugin | None:
        """The plugin that would offer `name`, going by its own name, and is broken or disabled."""
        missed = (plugin for plugin in self.found if plugin.state != "ok")
        return next((plugin for plugin in missed if f"{plugin.name}-".startswith(f"{name}-")), None)

    def missing(self, kind: str, name: str, known: Collection[str]) -> str:
        """Why a contribution is not there: its plugin is broken or disabled, or nothing offers that name."""
        plugin = self.absent(name)
        if plugin is not None:
            return f"unknown {kind}: plugin {plugin.name!r} ({plugin.source}) is {plugin.state} {plugin.cause}".strip()
        told = ", ".join([*known][:MOST_TOLD]) or "none"
        more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
        return f"unknown {kind}{near(name, known)}; installed: {told}{more}"

    def add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        """Load one plugin; on any failure it is listed as broken and leaves nothing behind."""
        self.found.append(plugin)
        try:
            module = load()
            plugin.hooks = hooks_of(module)
            check(module, plugin.hooks)
            self.manager.register(module, plugin.name)
            offers = {hook: offered(module, hook) for hook in KINDS if hook in plugin.hooks}
        except (Exception, SystemExit) as error:
            self._refuse(plugin, f"{type(error).__name__}: {error}")
            return
        conflicts = [text for hook, values in offers.items() for text in self._conflicts(plugin, hook, values)]
        if conflicts:
            self.conflicts += conflicts
            self._refuse(plugin, "; ".join(conflicts))
            return
        for hook, values in offers.items():
            self._take(plugin, hook, values)

    def leave_out(self, plugin: Plugin, cause: str) -> None:
        """Run none of a plugin's stages; what it contributes stays known."""
        plugin.state, plugin.cause = "disabled", cause
        self.manager.unregister(name=plugin.name)

    def _refuse(self, plugin: Plugin, cause: str) -> None:
        plugin.state, plugin.cause = "broken", " ".join(cause.split())[:CAUSE_LENGTH]
        # Another plugin may stand under this name, so only this one's own registration may go.
        if self.manager.has_plugin(plugin.name) and not _is_ok(plugin.name, self.found):
            self.manager.unregister(name=plugin.name)

    def _conflicts(self, plugin: Plugin, hook: str, values: Mapping[str, Any]) -> list[str]:
        return [
            f"{name!r} is offered by {other.source} and by {plugin.source} ({hook});"
            f" disable one: [plugins] disable = [{plugin.name!r}]"
            for name in values
            if (other := self._owners.get((hook, name))) is not None
        ]

    def _take(self, plugin: Plugin, hook: str, values: Mapping[str, Any]) -> None:
        table: dict[str, Any] = getattr(self, hook.removeprefix("register_"))
        table.update(values)
        self._owners.update({(hook, name): plugin for name in values})
        ordered = sorted(table.items())
        table.clear()
        table.update(ordered)

    @staticmethod
    def _is_sibling(plugin: Plugin, other: Plugin) -> bool:
        return (plugin.distribution, _package(plugin)) == (other.distribution, _package(other))


@contextmanager
def blamed(what: str, kind: type[LivermoreError] = LivermoreError) -> Iterator[None]:
    """Turn whatever a plugin's code raises into an error of `kind` that says whose it is; our own errors pass."""
    try:
        yield
    except LivermoreError:
        raise
    except (Exception, SystemExit) as error:
        raise kind(f"{what}: {type(error).__name__}: {error}") from error


def load(only: Collection[str] | None = None, disable: Collection[str] = (), *, tolerant: bool = False) -> Plugins:
    """Load the installed plugins by name; with `only`, no others. The built-in ones are always there.

    Raises PluginError where two plugins offer one name; `tolerant` lists the later one as broken instead.
    """
    plugins = Plugins()
    for name, module in BUILT_IN.items():
        plugin = Plugin(name, "livermore", __version__, module)
        _add(plugins, plugin, lambda module=module: import_module(module), name in disable)  # type: ignore[misc]
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        unwanted = entry.name in disable or (only is not None and entry.name not in only)
        _add(plugins, _describe(entry), entry.load, unwanted)
    if plugins.conflicts and not tolerant:
        raise PluginError("\n".join(plugins.conflicts))
    return plugins


def _add(plugins: Plugins, plugin: Plugin, load: Callable[[], Any], unwanted: bool) -> None:
    twin = next((other for other in plugins.found if other.name == plugin.name), None)
    if unwanted:
        plugin.state = "disabled"
        plugins.found.append(plugin)
    elif twin is not None:
        plugin.state = "broken"
        plugin.cause = f"two plugins are called {plugin.name!r}: of {twin.source} and of {plugin.source}; uninstall one"
        plugins.conflicts.append(plugin.cause)
        plugins.found.append(plugin)
    else:
        plugins.add(plugin, load)


def _describe(entry: EntryPoint) -> Plugin:
    if entry.dist is None:
        return Plugin(entry.name, "unknown", "0", entry.module)
    metadata = entry.dist.metadata  # parsed at each access
    return Plugin(entry.name, metadata["Name"], metadata["Version"], entry.module)


def _package(plugin: Plugin) -> str:
    return plugin.module.partition(".")[0]


def _is_ok(name: str, found: list[Plugin]) -> bool:
    return any(plugin.name == name and plugin.state == "ok" for plugin in found)


def stage_table(plugins: Plugins, followed: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Who runs in each stage, in order, and below them the broken plugins of which no stage is known.

    Stages of an exchange that is not in `followed` are `idle`; None follows every exchange.
    """
    table = []
    for order, stage in enumerate(hooks.STAGES, start=1):
        table += [
            _row(stage, order, plugin, _state(plugins, plugin, followed))
            for plugin in sorted(plugins.found, key=lambda plugin: plugin.name)
            if stage in _stages_of(plugin)
        ]
    return table + [
        _row("", None, plugin, plugin.state)
        for plugin in plugins.found
        if plugin.state == "broken" and not _stages_of(plugin)
    ]


def _state(plugins: Plugins, plugin: Plugin, followed: Collection[str] | None) -> str:
    exchange = plugins.exchange_of(plugin)
    is_idle = followed is not None and exchange is not None and exchange not in followed
    return "idle" if plugin.state == "ok" and is_idle else plugin.state


def _stages_of(plugin: Plugin) -> set[str]:
    """The stages of a plugin; of one that was not imported, what its name says."""
    implemented = set(plugin.hooks) & set(hooks.STAGES)
    if implemented or plugin.state == "ok":
        return implemented
    return {stage for stage in hooks.STAGES if plugin.name == stage or plugin.name.endswith(f"-{stage}")}


def _row(stage: str, order: int | None, plugin: Plugin, state: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "order": order,
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": state,
        "cause": plugin.cause,
    }
