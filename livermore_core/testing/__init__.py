"""The kit for tests of plugins: contract suites, virtual time, exchanges and stores in memory; ours use it too."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_core.testing.checker import Violation as Violation
    from livermore_core.testing.checker import check as check
    from livermore_core.testing.evidence import Evidence as Evidence
    from livermore_core.testing.evidence import look as look
    from livermore_core.testing.exchange_contract import ExchangeContract as ExchangeContract
    from livermore_core.testing.exchange_harness import Harness as Harness
    from livermore_core.testing.exchange_harness import harness as harness
    from livermore_core.testing.faults import Fault as Fault
    from livermore_core.testing.faults import fault_schedule as fault_schedule
    from livermore_core.testing.faulty_exchange import FaultyExchange as FaultyExchange
    from livermore_core.testing.indicator_contract import IndicatorContract as IndicatorContract
    from livermore_core.testing.inline_executor import InlineExecutor as InlineExecutor
    from livermore_core.testing.memory_exchange import MemoryExchange as MemoryExchange
    from livermore_core.testing.memory_store import MemoryStore as MemoryStore
    from livermore_core.testing.program import Program as Program
    from livermore_core.testing.simulation import Outcome as Outcome
    from livermore_core.testing.simulation import simulate as simulate
    from livermore_core.testing.store_contract import StoreContract as StoreContract
    from livermore_core.testing.virtual_time import VirtualTimeLoop as VirtualTimeLoop
    from livermore_core.testing.virtual_time import run_virtual as run_virtual

_HOME = {
    "Evidence": "evidence",
    "ExchangeContract": "exchange_contract",
    "Fault": "faults",
    "FaultyExchange": "faulty_exchange",
    "Harness": "exchange_harness",
    "IndicatorContract": "indicator_contract",
    "InlineExecutor": "inline_executor",
    "MemoryExchange": "memory_exchange",
    "MemoryStore": "memory_store",
    "Outcome": "simulation",
    "Program": "program",
    "StoreContract": "store_contract",
    "Violation": "checker",
    "VirtualTimeLoop": "virtual_time",
    "check": "checker",
    "fault_schedule": "faults",
    "harness": "exchange_harness",
    "look": "evidence",
    "run_virtual": "virtual_time",
    "simulate": "simulation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
