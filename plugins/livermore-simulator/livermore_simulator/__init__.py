"""A simulated exchange that speaks Coinbase's protocol on loopback, and knows the truth about its own market."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_simulator.checking import Comparison as Comparison
    from livermore_simulator.checking import compare as compare
    from livermore_simulator.market import Market as Market
    from livermore_simulator.quirks import Quirks as Quirks
    from livermore_simulator.recorded import RecordedMarket as RecordedMarket
    from livermore_simulator.server import SimulatedExchange as SimulatedExchange
    from livermore_simulator.synthetic import SyntheticMarket as SyntheticMarket
    from livermore_simulator.truth import Truth as Truth

_HOME = {
    "Comparison": "checking",
    "Market": "market",
    "Quirks": "quirks",
    "RecordedMarket": "recorded",
    "SimulatedExchange": "server",
    "SyntheticMarket": "synthetic",
    "Truth": "truth",
    "compare": "checking",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
