"""`[indicators]`: each name with its type and parameters, tried out before anything is opened."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from livermore_core.config.constructors import WORDS, Constructor, constructor_of
from livermore_core.config.settings import DEEPEST_HISTORY, USUAL_DEPTH, USUAL_INDICATOR
from livermore_core.config.shape import LONGEST, Shape
from livermore_core.contributions import INDICATOR_KEYS
from livermore_core.errors import near
from livermore_core.plugins import Plugins

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


class IndicatorRules:
    """Checks the table of indicators, and finds how much history they need."""

    def __init__(self, plugins: Plugins, shape: Shape) -> None:
        self.plugins, self.shape = plugins, shape

    def check(self, given: Any, timeframes: Collection[str]) -> tuple[dict[str, dict[str, Any]], int]:
        """The indicators (MACD-V where nothing is said), and the largest number of candles until one is settled."""
        if not isinstance(given, dict):
            given = {USUAL_INDICATOR: {}} if USUAL_INDICATOR in self.plugins.indicators else {}
        settles = [self._settle(name, parameters, timeframes) for name, parameters in given.items()]
        checked = {name: dict(each) for name, each in given.items() if isinstance(each, dict)}
        return checked, max(settles, default=0) or USUAL_DEPTH

    def _settle(self, name: str, parameters: Any, timeframes: Collection[str]) -> int:
        path = ("indicators", name)
        if not NAME.fullmatch(name):
            self.shape.problem(path, "a name is made of lower-case letters, digits and dashes")
        if not isinstance(parameters, dict):
            self.shape.problem(path, 'must be a table, e.g. {} or { use = "ema", length = 50 }')
            return 0
        kind = parameters.get("use", name)
        if not isinstance(kind, str):
            self.shape.problem((*path, "use"), "must be a text, the type of the indicator")
            return 0
        if kind not in self.plugins.indicators:
            self.shape.problem(path, self.plugins.missing("indicator", kind, self.plugins.indicators))
            return 0
        self._globs((*path, "symbols"), parameters, None)
        self._globs((*path, "timeframes"), parameters, timeframes)
        return self._tried(path, kind, {key: value for key, value in parameters.items() if key not in INDICATOR_KEYS})

    def _globs(self, path: tuple[str, ...], parameters: Mapping[str, Any], among: Collection[str] | None) -> None:
        """Lists of globs; each has to match one of `among`, where that is known already."""
        globs = parameters.get(path[-1], ["*"])
        if not isinstance(globs, list | tuple) or not globs or not all(isinstance(glob, str) for glob in globs):
            self.shape.problem(path, 'must be a list of globs, e.g. ["BTC-*"] or ["1h", "4h"]')
            return
        for glob in globs:
            if among is not None and not fnmatch.filter(among, glob):
                self.shape.problem(
                    path, f"{glob} matches none of the timeframes: {', '.join(among)}{near(glob, among)}"
                )

    def _tried(self, path: tuple[str, ...], kind: str, parameters: Mapping[str, Any]) -> int:
        for key, value in parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                self.shape.problem((*path, key), f"{value} is no number that can be used")
                return 0
        try:
            make = self.plugins.code("register_indicators", kind, self.plugins.indicators[kind].reference)
            wrong = self._wrong(path, kind, constructor_of(make), parameters)
            need = 0 if wrong else int(getattr(make(**parameters), "settle", 0) or 0)
        except Exception as error:  # somebody else's constructor
            self.shape.problem(path, " ".join(str(error).split()))
            return 0
        if need > DEEPEST_HISTORY:
            self.shape.problem(path, f"needs {need} candles, more than the {DEEPEST_HISTORY} that may be asked for")
            return 0
        return need

    def _wrong(self, path: tuple[str, ...], kind: str, taken: Constructor, given: Mapping[str, Any]) -> bool:
        """Whether a name is unknown, or a value not of the type that the constructor tells."""
        before = len(self.shape.problems)
        for key, value in given.items():
            known = taken.known.get(key)
            if known is not None and not known.takes(value):
                said = str(value).lower() if isinstance(value, bool) else repr(value)[:LONGEST]
                self.shape.problem((*path, key), f"must be {WORDS[known.type]}, is {said}")
            elif known is None and not taken.is_open:
                self.shape.problem((*path, key), f"unknown parameter of {kind}{near(key, taken.known)}")
        return len(self.shape.problems) > before
