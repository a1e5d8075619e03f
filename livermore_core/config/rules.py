"""What the keys must mean together: symbols and timeframes in one form, a store that exists, no contradiction."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from livermore_core.config.indicators import IndicatorRules
from livermore_core.config.layers import KeyPath, Layers
from livermore_core.config.names import symbol_wish, timeframe_name
from livermore_core.config.settings import (
    MOST_KEPT,
    RETENTION,
    SHARED_RETENTION,
    CoreSettings,
    Settings,
    password_of,
    without_base,
)
from livermore_core.config.shape import LONGEST, Shape
from livermore_core.errors import near
from livermore_core.market.timeframe import WIDTHS
from livermore_core.plugins import Plugins


class Rules:
    """Makes settings of the merged tree; defaults stand where something is wrong, and `shape.problems` says what."""

    def __init__(
        self, layers: Layers, shape: Shape, plugins: Plugins, models: Mapping[str, type[BaseModel]], notes: list[str]
    ) -> None:
        self.layers, self.shape, self.plugins, self.models, self.notes = layers, shape, plugins, models, notes

    def settings(self, followed: tuple[str, ...], file: Path | None) -> Settings:
        """The settings of a run that follows these exchanges."""
        tree = self.shape.known(self.layers.values, self.shape.schema)
        given = {key: tree[key] for key in CoreSettings.model_fields if key in tree}
        self._one_form(given, (), "timeframes", timeframe_name)
        self._one_form(given, (), "backfill_timeframes", timeframe_name)
        core = self.shape.validated(CoreSettings, _without_tables(given))
        plain = {name: getattr(core, name) for name in CoreSettings.model_fields}
        if "backfill_timeframes" not in given:
            plain["backfill_timeframes"] = without_base(plain["timeframes"])
        self._store(plain["store"])
        exchanges = {name: self._exchange(name, tree.get("exchanges", {}).get(name, {})) for name in self.models}
        self._offered(followed, given)
        rules = IndicatorRules(self.plugins, self.shape)
        indicators, settle = rules.check(self.layers.values.get("indicators"), plain["timeframes"])
        history = plain["depth"] or settle
        plain["retention"] = self._retention(given.get("retention", {}), plain["store"], history)
        self._plugin_names(plain["plugins"].only)
        return Settings(
            **plain,
            exchanges=exchanges,
            indicators=indicators,
            followed=tuple(name for name in followed if name in self.models),
            history=history,
            file=file,
        )

    def _one_form(self, table: dict[str, Any], path: KeyPath, key: str, form: Callable[[str], str]) -> None:
        """Bring a list of names into one form, each name once; what has none is a problem and is left out."""
        if not isinstance(table.get(key), list | tuple):
            return
        names: list[str] = []
        for text in table[key]:
            try:
                name = form(text) if isinstance(text, str) else None
            except ValueError as error:
                self.shape.problem((*path, key), str(error))
                continue
            if name is None:
                self.shape.problem((*path, key), f"must be a list of texts, holds {repr(text)[:LONGEST]}")
            elif name in names:
                self.notes.append(f"{'.'.join((*path, key))}: {text!r} stands there twice")
            else:
                names.append(name)
        if not table[key] and key != "symbols":
            self.shape.problem((*path, key), "must name at least one")
        if names:
            table[key] = names
        else:
            del table[key]

    def _exchange(self, name: str, given: dict[str, Any]) -> BaseModel:
        given = dict(given)
        self._one_form(given, ("exchanges", name), "symbols", symbol_wish)
        settings: BaseModel = self.shape.validated(self.models[name], given, ("exchanges", name))
        self._is_served(name, settings)
        return settings

    def _is_served(self, name: str, settings: BaseModel) -> None:
        """The hourly audit of every symbol alone must fit the pace of requests."""
        symbols = len(getattr(settings, "symbols", ()) or ())
        exchange = self.plugins.exchanges[name]
        rate = getattr(settings, "requests_per_second", None) or exchange.requests_per_second
        if symbols > rate * 3600:
            self.shape.problem(
                ("exchanges", name, "requests_per_second"),
                f"{symbols} symbols need {symbols} requests an hour for their audit alone,"
                f" {rate:g} a second allow {rate * 3600:g}",
            )

    def _offered(self, followed: tuple[str, ...], given: Mapping[str, Any]) -> None:
        """Exchanges that are asked for are installed, and offer the timeframes that are asked for."""
        for name in followed:
            exchange = self.plugins.exchanges.get(name)
            if exchange is None:
                self.shape.problem(("exchanges", name), self.plugins.missing("exchange", name, self.plugins.exchanges))
                continue
            for key in ("timeframes", "backfill_timeframes"):
                names = given.get(key)
                lacking = [
                    each for each in (names if isinstance(names, list) else ()) if each not in exchange.timeframes
                ]
                if lacking:
                    offered = ", ".join(exchange.timeframes)
                    self.shape.problem((key,), f"{name} does not offer {', '.join(lacking)}; it offers {offered}")

    def _store(self, url: str) -> None:
        scheme, separator, rest = url.partition("://")
        if not separator:
            self.shape.problem(("store",), f"must be a URL, e.g. sqlite:///{url}")
        elif scheme not in self.plugins.stores:
            self.shape.problem(("store",), self.plugins.missing("store", scheme, self.plugins.stores))
        elif password_of(url) and not self.layers.origin(("store",)).startswith("LIVERMORE_"):
            self.shape.problem(("store",), "a password does not belong here; set the whole URL as LIVERMORE_STORE")
        elif scheme == "sqlite":
            self._sqlite(rest)

    def _sqlite(self, rest: str) -> None:
        path = Path(rest.removeprefix("/"))
        if not rest.startswith("/") or path == Path() or "\0" in rest:
            self.shape.problem(("store",), "must be sqlite:///relative/path or sqlite:////absolute/path")
            return
        try:
            mode = path.expanduser().stat().st_mode
        except (OSError, RuntimeError, ValueError):
            return
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            self.shape.problem(("store",), f"{path} is not a regular file")

    def _retention(self, given: Mapping[str, Any], store: str, history: int) -> dict[str, int]:
        """Candles kept per timeframe. Retention below twice the depth would trim what is fetched again and again."""
        kept: dict[str, int] = {}
        usual = RETENTION if store.startswith("sqlite:") else SHARED_RETENTION
        for timeframe, count in given.items():
            if not isinstance(count, int) or count < 2 * history:
                self.shape.problem(
                    ("retention", timeframe),
                    f"must be at least twice the depth, 2 x {history} = {2 * history}, is {str(count)[:LONGEST]}",
                )
            elif count > MOST_KEPT:
                self.shape.problem(("retention", timeframe), f"must be at most {MOST_KEPT}, is {count}")
            else:
                kept[timeframe] = count
        return {timeframe: max(usual, 2 * history) for timeframe in WIDTHS} | kept

    def _plugin_names(self, only: tuple[str, ...]) -> None:
        names = [plugin.name for plugin in self.plugins.found]
        for name in only:
            if name not in names:
                self.shape.problem(("plugins", "only"), f"unknown plugin {name!r}{near(name, names)}")


def _without_tables(given: Mapping[str, Any]) -> dict[str, Any]:
    """The core's keys without what is not the core model's: retention is checked by itself, plugins by their names."""
    plugins = {key: value for key, value in given.get("plugins", {}).items() if key in ("only", "disable")}
    return {**{key: value for key, value in given.items() if key != "retention"}, "plugins": plugins}
