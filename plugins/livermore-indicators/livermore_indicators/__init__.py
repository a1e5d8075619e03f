"""The indicators stage of livermore, and the indicators that come with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_indicators.atr import Atr as Atr
    from livermore_indicators.bollinger import Bollinger as Bollinger
    from livermore_indicators.dmi import Dmi as Dmi
    from livermore_indicators.macd import Macd as Macd
    from livermore_indicators.macd_v import MacdV as MacdV
    from livermore_indicators.obv import Obv as Obv
    from livermore_indicators.rsi import Rsi as Rsi
    from livermore_indicators.service import IndicatorCalculationService as IndicatorCalculationService
    from livermore_indicators.stochastic import Stochastic as Stochastic
    from livermore_indicators.supertrend import SuperTrend as SuperTrend
    from livermore_indicators.vwap import AnchoredVwap as AnchoredVwap

_HOME = {
    "AnchoredVwap": "vwap",
    "Atr": "atr",
    "Bollinger": "bollinger",
    "Dmi": "dmi",
    "IndicatorCalculationService": "service",
    "Macd": "macd",
    "MacdV": "macd_v",
    "Obv": "obv",
    "Rsi": "rsi",
    "Stochastic": "stochastic",
    "SuperTrend": "supertrend",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
