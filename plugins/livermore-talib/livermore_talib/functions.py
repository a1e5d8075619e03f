"""The class of each function, made from TA-Lib's own description when somebody names it: `functions:rsi`."""

from __future__ import annotations

from functools import cache

from livermore_talib.bridge import TalibIndicator
from livermore_talib.description import describe
from livermore_talib.names import NAMES
from livermore_talib.settling import is_cumulative


def __getattr__(name: str) -> type[TalibIndicator]:
    """The indicator of the function that has this name in lower-case letters."""
    if name.upper() not in NAMES or not name.islower():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _class_of(name)


@cache
def _class_of(name: str) -> type[TalibIndicator]:
    description = describe(name.upper())
    members = {
        "__doc__": f"{NAMES[description.function]}: {description.function} of TA-Lib.",
        "__module__": __name__,
        "__signature__": description.signature,
        "cumulative": is_cumulative(description.function),
        "description": description,
        "outputs": description.outputs,
    }
    return type(name, (TalibIndicator,), members)
