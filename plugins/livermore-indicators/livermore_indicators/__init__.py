"""The indicators stage of livermore, MACD-V, and the averages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_indicators.macd_v import MacdV as MacdV
    from livermore_indicators.service import IndicatorCalculationService as IndicatorCalculationService

_HOME = {"IndicatorCalculationService": "service", "MacdV": "macd_v"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
