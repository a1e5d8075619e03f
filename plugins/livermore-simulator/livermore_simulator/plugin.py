"""The simulator's entry point: its command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livermore_core import hookimpl

if TYPE_CHECKING:
    from livermore_core import Command


@hookimpl
def register_commands() -> Iterable[Command]:
    """`livermore simulate` and `livermore demo`."""
    from livermore_core import Command

    yield Command("simulate", "run a simulated exchange on loopback", "livermore_simulator.commands:simulate")
    yield Command("demo", "the whole system on a simulated market", "livermore_simulator.demo:demo")
