"""What the module of a plugin must look like: known hooks, of the right colour, that yield the right values."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

from livermore_core import hooks
from livermore_core.contributions import Command, Exchange, IndicatorType, Store
from livermore_core.errors import near

GROUP = "livermore"
KINDS: Mapping[str, type] = {
    "register_exchanges": Exchange,
    "register_indicators": IndicatorType,
    "register_stores": Store,
    "register_commands": Command,
}


def hooks_of(module: Any) -> tuple[str, ...]:
    """The names of the functions that a module marks as hooks. Raises TypeError where it is no module."""
    if not isinstance(module, ModuleType):
        raise TypeError(f"the entry point must name a module, it names {type(module).__name__} {module!r}")
    return tuple(
        sorted(
            name for name, value in vars(module).items() if inspect.isroutine(value) and hasattr(value, f"{GROUP}_impl")
        )
    )


def check(module: Any, found: Collection[str]) -> None:
    """Raises TypeError for an unknown hook, a wrong colour or a wrong argument."""
    known = {name: spec for name, spec in vars(hooks).items() if hasattr(spec, f"{GROUP}_spec")}
    for name in found:
        if name not in known:
            raise TypeError(f"unknown hook {name!r}{near(name, known)}")
        function = getattr(module, name)
        is_stage = name in hooks.STAGES
        if inspect.iscoroutinefunction(function) is not is_stage:
            raise TypeError(f"hook {name!r} must be {'`async def`' if is_stage else 'a plain `def`'}")
        unwanted = set(inspect.signature(function).parameters) - set(inspect.signature(known[name]).parameters)
        if unwanted:
            raise TypeError(f"hook {name!r} has no argument {min(unwanted)!r}")


def offered(module: Any, hook: str) -> dict[str, Any]:
    """What a module yields from a hook, by name. Raises TypeError for another type, ValueError for a name twice."""
    values: dict[str, Any] = {}
    for value in getattr(module, hook)():
        if not isinstance(value, KINDS[hook]):
            raise TypeError(f"{hook} must yield {KINDS[hook].__name__}, yielded {value!r}")
        name = value.scheme if isinstance(value, Store) else value.name  # type: ignore[attr-defined]
        if name in values:
            raise ValueError(f"{hook} yields {name!r} twice")
        values[name] = value
    return values
