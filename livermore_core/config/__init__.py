"""Configuration: file, environment and flags merged into one validated, frozen object. Loaded on first use."""

from __future__ import annotations

from livermore_core.config.quick import PluginTable as PluginTable
from livermore_core.config.quick import choose as choose
from livermore_core.config.quick import plugin_table as plugin_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_core.config.describing import describe as describe
    from livermore_core.config.describing import effective as effective
    from livermore_core.config.describing import sample as sample
    from livermore_core.config.loading import load as load
    from livermore_core.config.settings import Settings as Settings

_HOME = {
    "Settings": "settings",
    "describe": "describing",
    "effective": "describing",
    "load": "loading",
    "sample": "describing",
}

__all__ = sorted([*_HOME, "PluginTable", "choose", "plugin_table"])


def __getattr__(name: str) -> object:
    """Import what needs pydantic only when it is asked for: `stages --list` does without."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
