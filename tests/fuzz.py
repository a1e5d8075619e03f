"""Feeds hostile input to whatever reads from outside, and holds it against claims.py: `make fuzz COUNT=5000000`."""

from __future__ import annotations

import json
import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import count as numbers
from math import inf
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, NamedTuple

import claims
import click
from hostile import Payloads, mutated, payloads
from hostile_configuration import file_of, variables_of
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.wire import Refusal

from livermore_core import ExchangeError
from livermore_core.plugins import load as load_plugins

# Configuration is the slowest to read.
SHARES = {"frame": 20, "stream": 5, "candles": 7, "body": 11, "file": 1, "environment": 1, "history": 1}
ROUND = [target for target, share in SHARES.items() for _ in range(share)]
START = re.compile(rb'"start": ?"(\d{1,10})"')
RENEWED = 10_000
HISTORIES = [
    b"time,open,high,low,close,volume\n1704067200,10.5,12,9,11,3\n2024-01-01T00:01:00Z,1e1,12,9,11,0\n",
    b"Volume;close;low;high;open;time;x\r\n3;11;9;12;10;1704067200000;1\r\n3;11;9;12;10;1704067200000;1\r\n",
    b'[{"time": 1704067200, "open": 10, "high": 12, "low": 9, "close": 11, "volume": 3}]',
]
MOST_SHOWN = 5


class Fuzzer:
    """Makes input number N of a seed, and checks it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.file = seed, folder / "livermore.toml"
        self.payloads: Payloads = payloads()
        self.plugins = load_plugins()
        self.bodies = [body for bodies in self.payloads.bodies.values() for body in bodies]
        self._renew()

    def input(self, number: int) -> tuple[str, Callable[..., None], tuple[Any, ...]]:
        """The target of an input, the claim that is made, and what it is made of."""
        random, target = Random(f"{self.seed} {number}"), ROUND[number % len(ROUND)]
        if target in ("frame", "stream"):
            frames = self.payloads.frames
            data = mutated(random, random.choice(frames), frames)
            return target, claims.frame if target == "frame" else self.stream, (data,)
        if target == "candles":
            body = mutated(random, random.choice(self.payloads.bodies["candles"]), self.bodies)
            return target, claims.candles, (body, *_page(random, body))
        if target == "body":
            kind = random.choice([*claims.ENDPOINTS])
            body = mutated(random, random.choice(self.payloads.bodies[kind]), self.bodies)
            return kind, claims.ENDPOINTS[kind], (body,)
        if target == "history":
            return target, self.history, (mutated(random, random.choice(HISTORIES), [*HISTORIES, *self.bodies]),)
        content = file_of(random, self.bodies) if target == "file" else b""
        environ = variables_of(random) if target == "environment" else {}
        return target, self.configuration, (content, environ)

    def stream(self, data: bytes) -> None:
        """One frame after the other on one connection, as long as it lives."""
        self._fed += 1
        try:
            self._reader.read(data)
        except Refusal:
            pass
        except ExchangeError:
            self._renew()
        claims.bounded(self._reader, self._counts)
        if self._fed >= RENEWED:
            self._renew()

    def configuration(self, content: bytes, environ: dict[str, str]) -> None:
        """A file and variables; nothing is connected to."""
        claims.configuration(self.plugins, self.file, content, environ)

    def history(self, content: bytes) -> None:
        """A file of candles; no store is opened."""
        claims.history(self.file, content)

    def _renew(self) -> None:
        # An hour for each frame: what is fed at once is no flood of bad frames.
        self._counts: Counter[str] = Counter()
        self._reader = Interpreter(claims.NAMES, self._counts, numbers(0, 3600).__next__)
        self._fed = 0


def _page(random: Random, body: bytes) -> tuple[int, int, int]:
    """A page that the body could answer."""
    step = random.choice((60, 60, 3600, 14400, 86400))
    match = START.search(body, random.randrange(len(body) + 1)) or START.search(body)
    start = int(match[1]) // step * step if match else 0
    return max(0, start - 20 * step), start + step * random.choice((1, 20)), step


def no_connection(event: str, arguments: object) -> None:
    """An audit hook: whoever reads what came from outside connects nowhere."""
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        raise RuntimeError(f"{event} while reading")


class Figures(NamedTuple):
    """How many inputs of each target there were, how many crashed, and the seconds that the slowest took."""

    done: Counter[str]
    crashes: int
    slowest: float


def run(fuzzer: Fuzzer, first: int, count: int, seconds: float = inf) -> Figures:
    """Check inputs until `count` or the time is reached."""
    done: Counter[str] = Counter()
    crashes, slowest, now = 0, 0.0, monotonic()
    until = now + seconds
    for number in range(first, first + count):
        target, check, given = fuzzer.input(number)
        done[target] += 1
        try:
            check(*given)
        except Exception as error:
            crashes += 1
            if crashes <= MOST_SHOWN:
                click.echo(f"{target}: {type(error).__name__}: {str(error)[:500]}\n  {given!r}", err=True)
                click.echo(f"  again: {sys.argv[0]} --seed {fuzzer.seed} --first {number} --count 1", err=True)
        before, now = now, monotonic()
        slowest = max(slowest, now - before)
        if now > until:
            break
    return Figures(done, crashes, slowest)


@click.command(epilog="Example: tests/fuzz.py --seed 7 --seconds 60")
@click.option("--count", type=click.IntRange(1), default=5_000, show_default=True, help="How many inputs.")
@click.option("--seed", type=int, default=1, show_default=True, help="What they are drawn from.")
@click.option("--seconds", type=float, default=inf, help="No longer than this.")
@click.option("--first", type=click.IntRange(0), default=0, help="The number of the first input.")
def main(count: int, seed: int, seconds: float, first: int) -> None:
    """Print how many inputs each target read; exit 1 where a claim did not hold, and say how to see it again."""
    logging.getLogger("livermore_coinbase").setLevel(logging.CRITICAL)
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        fuzzer = Fuzzer(seed, Path(folder))
        sys.addaudithook(no_connection)
        began = monotonic()
        found = run(fuzzer, first, count, seconds)
        took = monotonic() - began
    total = sum(found.done.values())
    figures = {"inputs": total, "crashes": found.crashes, "seed": seed, "recorded": fuzzer.payloads.recorded}
    speed = {"per_second": round(total / took), "slowest": round(found.slowest, 3)}
    click.echo(json.dumps(figures | speed | {"targets": dict(sorted(found.done.items()))}))
    sys.exit(1 if found.crashes else 0)


if __name__ == "__main__":
    main()
