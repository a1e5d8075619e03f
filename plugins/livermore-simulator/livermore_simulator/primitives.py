"""The faults that the simulated exchange can play on its wires, and what a storm of them is drawn from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from livermore_core.testing import Fault, fault_schedule
from livermore_core.testing.faults import Kind, from_text
from livermore_simulator.mutations import MUTATIONS

PER_HOUR = 12.0
# So many hours a schedule is drawn for: longer than anybody lets a simulation run.
HOURS = 7 * 24.0

STATUSES, CLOSE_CODES = (200, 599), (1000, 4999)
SAID = ("", "null", "[]", "{", '{"channel":"new","sequence_num":0}', '{"type":"news"}', "\ufffd")

# Moments and durations are seconds of exchange time; what a client's time-outs are held against is real time.
# What each one does is said in the README, and where it is done.
WIRE = {
    "rest.status": Kind(
        lasts=(0, 120),
        codes=(200, 429, 500, 502, 503, 504),
        bodies=("html", "json"),
        event="request",
        code_range=STATUSES,
    ),
    "rest.delay": Kind(lasts=(30, 300), amount=(0.05, 1.0), event="request"),
    "rest.hang": Kind(lasts=(5, 60), event="request"),
    "rest.drip": Kind(lasts=(5, 60), amount=(1, 200), event="request"),
    "rest.cut": Kind(lasts=(0, 120), amount=(0, 5000), event="request"),
    "rest.mutate": Kind(lasts=(30, 300), hows=tuple(MUTATIONS), weight=4, event="request"),
    "ws.refuse": Kind(lasts=(1, 300), event="connection"),
    "ws.upgrade": Kind(lasts=(1, 120), codes=(301, 403, 429, 503), event="connection", code_range=STATUSES),
    "ws.hang": Kind(lasts=(5, 60), event="connection"),
    "ws.silent": Kind(lasts=(5, 60), event="connection"),
    "ws.blackhole": Kind(),
    "ws.stall": Kind(lasts=(5, 60)),
    "ws.close": Kind(
        codes=(1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000), weight=4, event="frame", code_range=CLOSE_CODES
    ),
    "ws.rst": Kind(event="frame"),
    "ws.mute": Kind(lasts=(60, 400), of_symbol=True, weight=3),
    "ws.sub": Kind(lasts=(5, 120), of_symbol=True, hows=("refuse", "partial", "no_ack")),
    "ws.seq": Kind(amount=(1, 5), hows=("skip", "dup", "swap", "reset"), weight=6, event="frame"),
    "ws.late": Kind(amount=(5, 200), of_symbol=True, event="frame"),
    "ws.snapshot_again": Kind(event="frame"),
    "ws.raw": Kind(amount=(1, 5), hows=("text", "binary", "latin1"), bodies=SAID, event="frame"),
    "ws.burst": Kind(amount=(10, 500), event="frame"),
    "exchange.down": Kind(lasts=(10, 600)),
    "clock.step": Kind(lasts=(5, 120), amount=(-20, 5)),
    "clock.skew": Kind(lasts=(30, 300), amount=(-30, 5)),
}


def drawn(seed: int, symbols: Sequence[str], *, hours: float = HOURS, per_hour: float = PER_HOUR) -> list[Fault]:
    """The storm of a seed: the same seed and symbols give the same faults."""
    return fault_schedule(seed, hours, symbols, per_hour, kinds=WIRE)


def written(text: str) -> list[Fault]:
    """The faults of a file, a JSON line each. Raises ValueError with the line of one that is none."""
    return from_text(text, WIRE)


def unmeant(faults: Iterable[Fault], symbols: Collection[str]) -> str:
    """What is wrong with the symbols of faults, which would never meet anything; empty where nothing is."""
    for symbol in [fault.symbol for fault in faults if fault.symbol]:
        if symbol not in symbols:
            return f"no product is called {symbol!r}; there are {', '.join(symbols)}"
    return ""
