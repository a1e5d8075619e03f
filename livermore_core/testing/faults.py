"""A schedule of faults: one seed gives one list, which can be written down, read back and played again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from livermore_core.errors import near

HOUR = 3600.0
# What a fault may be counted by, in place of an instant or after it.
EVENTS = ("request", "frame", "connection")
LATEST_NTH = 5


class Kind(NamedTuple):
    """A primitive: how long it lasts and how strong it is (ranges), and whether it is about one symbol.

    `weight` is how often it is drawn, relative to the others. A primitive on a wire is drawn from more: `hows` are all
    its variants, of which a fault must name one; `codes` some of those of `code_range`; `bodies` some of its texts;
    `event` is what half of them are counted by.
    """

    lasts: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)
    of_symbol: bool = False
    weight: int = 2
    hows: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    code_range: tuple[int, int] = (0, 0)
    bodies: tuple[str, ...] = ()
    event: str = ""


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
    "rest.revise": Kind(amount=(2, 60), of_symbol=True),
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


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: at so many seconds after the start, for so many seconds, of so much (seconds, trades or frames).

    With `on` it begins at the `nth` such event after `at`. `how` is the variant of its kind, `code` a status or close
    code, `headers` and `body` those of an answer or frame. Each kind says which of these it reads.
    """

    at: float = 0.0
    on: str = ""
    nth: int = 0
    kind: str
    symbol: str = ""
    channel: str = ""
    lasts: float = 0.0
    amount: float = 0.0
    how: str = ""
    code: int = 0
    headers: dict[str, str] = {}
    body: str = ""


def fault_schedule(
    seed: int, hours: float, symbols: Sequence[str], per_hour: float = 4.0, *, kinds: Mapping[str, Kind] = KINDS
) -> list[Fault]:
    """The faults of a seed, by time: independent of each other, so that they overlap as they do in life."""
    chance = random.Random(f"faults:{seed}")
    names, weights = list(kinds), [kind.weight for kind in kinds.values()]
    faults: list[Fault] = []
    moment = 0.0
    while per_hour:
        moment += chance.expovariate(per_hour / HOUR)
        if moment >= hours * HOUR:
            break
        (name,) = chance.choices(names, weights)
        faults.append(_drawn(chance, moment, name, kinds[name], symbols))
    return faults


def _drawn(chance: random.Random, moment: float, name: str, kind: Kind, symbols: Sequence[str]) -> Fault:
    """One fault. What only kinds on a wire have is drawn last, so that a schedule without them stays what it was."""
    fault = Fault(
        at=round(moment, 3),
        kind=name,
        symbol=chance.choice(symbols) if kind.of_symbol else "",
        lasts=round(chance.uniform(*kind.lasts), 3),
        amount=round(chance.uniform(*kind.amount), 3),
        how=chance.choice(kind.hows) if kind.hows else "",
        code=chance.choice(kind.codes) if kind.codes else 0,
        body=chance.choice(kind.bodies) if kind.bodies else "",
    )
    if kind.event and chance.random() < 0.5:
        return msgspec.structs.replace(fault, on=kind.event, nth=chance.randint(1, LATEST_NTH))
    return fault


def to_text(faults: Sequence[Fault]) -> str:
    """A JSON line per fault."""
    return "".join(f"{msgspec.json.encode(fault).decode()}\n" for fault in faults)


def from_text(text: str, kinds: Mapping[str, Kind] = KINDS) -> list[Fault]:
    """The faults of `to_text`, by time. Raises ValueError with the line of a fault that is none."""
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                faults.append(one_fault(line, kinds))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return sorted(faults, key=lambda fault: fault.at)


def one_fault(text: str | bytes, kinds: Mapping[str, Kind] = KINDS) -> Fault:
    """The fault of one line. Raises ValueError where it is none of `kinds`, or says what its kind does not know."""
    try:
        fault = msgspec.json.decode(text, type=Fault)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if fault.kind not in kinds:
        raise ValueError(f"no fault is called {fault.kind!r}{near(fault.kind, kinds)}; there are {', '.join(kinds)}")
    wrong = _wrong(fault, kinds[fault.kind])
    if wrong:
        raise ValueError(f"{fault.kind}: {wrong}")
    return fault


def _wrong(fault: Fault, kind: Kind) -> str:
    """What is wrong with a fault of that kind; empty where nothing is."""
    if fault.how not in (kind.hows or ("",)):
        return f"`how` is one of {', '.join(kind.hows)}{near(fault.how, kind.hows)}" if kind.hows else "it has no `how`"
    least, most = kind.code_range
    if fault.code and not least <= fault.code <= most:
        return f"`code` is {least} to {most}" if most else "it has no `code`"
    if (fault.on or fault.nth) and (fault.on not in EVENTS or fault.nth < 1):
        return f"`on` is one of {', '.join(EVENTS)}, and `nth` counts from 1"
    if not all(map(isfinite, (fault.at, fault.lasts, fault.amount))) or min(fault.at, fault.lasts) < 0:
        return "`at` and `lasts` are not negative"
    if not all(text.isprintable() for pair in fault.headers.items() for text in pair):
        return "`headers` are printable"
    return ""
