"""A schedule of faults: one seed gives one list, which can be written down, read back and played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

HOUR = 3600.0


class Kind(NamedTuple):
    """A primitive: how long it lasts and how strong it is (ranges), and whether it is about one symbol.

    `weight` is how often it is drawn, relative to the others.
    """

    lasts: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)
    of_symbol: bool = False
    weight: int = 2


# What each one does is said where it is done, in FaultyExchange and in `simulate`.
KINDS = {
    "rest.status": Kind(lasts=(1, 120)),
    "rest.refuse_pace": Kind(lasts=(1, 20), amount=(1, 30)),
    "rest.fail": Kind(lasts=(30, 600), of_symbol=True),
    "rest.hang": Kind(lasts=(5, 60)),
    "rest.delay": Kind(lasts=(30, 300), amount=(0.5, 15)),
    "rest.shuffle": Kind(lasts=(60, 600)),
    "rest.lag": Kind(lasts=(60, 600), amount=(10, 80)),
    "rest.stale": Kind(lasts=(30, 300), amount=(5, 300)),
    "rest.out_of_range": Kind(lasts=(60, 600)),
    "ws.refuse": Kind(lasts=(1, 300)),
    "ws.silent": Kind(lasts=(5, 60)),
    "ws.blackhole": Kind(weight=3),
    "ws.stall": Kind(lasts=(2, 12)),
    "ws.close": Kind(weight=4),
    "ws.flap": Kind(lasts=(5, 120)),
    "ws.mute": Kind(lasts=(60, 400), of_symbol=True, weight=3),
    "ws.skip": Kind(amount=(1, 20), of_symbol=True, weight=4),
    "ws.skip_frame": Kind(amount=(1, 5), weight=4),
    "ws.repeat": Kind(amount=(1, 50), of_symbol=True),
    "ws.no_ack": Kind(lasts=(5, 60)),
    "ws.partial_ack": Kind(lasts=(5, 120), of_symbol=True),
    "exchange.down": Kind(lasts=(10, 1200)),
    "clock.suspend": Kind(amount=(30, 5400)),
    "clock.pause": Kind(amount=(1, 40)),
    "store.full": Kind(lasts=(5, 180)),
    "process.restart": Kind(amount=(0, 1800), weight=3),
}


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: at so many seconds after the start, for so many seconds, of so much (seconds, trades or frames)."""

    at: float
    kind: str
    symbol: str = ""
    lasts: float = 0.0
    amount: float = 0.0


def fault_schedule(seed: int, hours: float, symbols: Sequence[str], per_hour: float = 4.0) -> list[Fault]:
    """The faults of a seed, by time: independent of each other, so that they overlap as they do in life."""
    chance = random.Random(f"faults:{seed}")
    kinds, weights = list(KINDS), [kind.weight for kind in KINDS.values()]
    faults: list[Fault] = []
    moment = 0.0
    while per_hour:
        moment += chance.expovariate(per_hour / HOUR)
        if moment >= hours * HOUR:
            break
        (name,) = chance.choices(kinds, weights)
        kind = KINDS[name]
        faults.append(
            Fault(
                at=round(moment, 3),
                kind=name,
                symbol=chance.choice(symbols) if kind.of_symbol else "",
                lasts=round(chance.uniform(*kind.lasts), 3),
                amount=round(chance.uniform(*kind.amount), 3),
            )
        )
    return faults


def to_text(faults: Sequence[Fault]) -> str:
    """A JSON line per fault."""
    return "".join(f"{msgspec.json.encode(fault).decode()}\n" for fault in faults)


def from_text(text: str) -> list[Fault]:
    """The faults of `to_text`, by time. Raises ValueError with the line of a fault that is none."""
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fault = msgspec.json.decode(line, type=Fault)
        except msgspec.DecodeError as error:
            raise ValueError(f"line {number}: {error}") from None
        if fault.kind not in KINDS:
            raise ValueError(f"line {number}: no fault is called {fault.kind!r}; there are {', '.join(KINDS)}")
        faults.append(fault)
    return sorted(faults, key=lambda fault: fault.at)
