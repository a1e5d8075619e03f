"""Measures the whole live path, from a WebSocket's frames to published MACD-V, against the least that does the same.

Prints one JSON line for CPU per frame of a saturated core, two for latency at 2,000 frames/s. Ours is the app as
`livermore start` runs it; the reference receives, decodes to floats, folds minutes, and previews MACD-V; both write to
SQLite. Each has an exchange of its own (`_flood.py`); servers run on one core, clients on the other. Both cores must be
free: `load` is what the machine did; above 1.5 or so, p99 shows the other processes. A ratio is the median of those of
the rounds, not the ratio of the medians.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from time import monotonic_ns, perf_counter, process_time, sleep
from typing import Any

import aiohttp
import msgspec
from _flood import answer, commands
from _reference import FusedMacdV

from livermore_core.bus import Subscription
from livermore_core.market.events import OPEN, PREVIEW, Event
from livermore_core.store.schema import TABLES

BLASTS, BLAST = 3, 20_000
PACES, PACED, RATE = 4, 3_000, 2000
WRITE_EVERY = 0.25
# By symbol: when an update was published, and how much of which minute was in it.
Times = dict[str, list[tuple[int, int, float]]]


# ---- ours ----


class Stopwatch(Subscription):
    """Notes when previews of open minutes are published. One covers what was announced of its candle before it."""

    def begin(self) -> None:
        self.times: Times = defaultdict(list)
        self.pending: dict[str, tuple[int, float]] = {}

    def offer(self, event: Event, cursor: str) -> None:
        if event.timeframe != "1m":
            return
        if event.kind == OPEN and event.candle is not None:
            self.pending[event.symbol] = (event.time, event.candle.volume)
        elif event.kind == PREVIEW:
            covered = self.pending.pop(event.symbol, None)
            if covered is not None:
                self.times[event.symbol].append((monotonic_ns(), *covered))


async def ours(server: Mapping[str, Any]) -> None:
    """The app, its real client, store and indicators; it measures itself when told to."""
    from livermore_core import log
    from livermore_core.app import App
    from livermore_core.loading import settings_of

    own = {"rest_url": server["rest_url"], "ws_url": server["ws_url"], "symbols": ["*-USD"]}
    own["requests_per_second"] = 500.0
    overrides = {"store": "sqlite:///ours.sqlite", "exchanges": {"coinbase": own}}
    plugins, settings = settings_of(None, None, overrides=overrides, exchanges=("coinbase",))
    log.configure("json", "error")

    def report(name: str, fields: Mapping[str, Any]) -> None:
        if name == "ready":
            answer({"ready": True})
        elif name in ("feed.lost", "store.error"):
            print(name, dict(fields), file=sys.stderr)

    app = App(settings, plugins, within=30.0, report=report)
    life = asyncio.ensure_future(app.run())
    watch = Stopwatch(app.bus, frozenset({OPEN, PREVIEW}), 1)
    watch.begin()
    with watch:
        async for word, _ in commands():
            feed: Any = app.exchanges["coinbase"].feed
            until = feed.frames + int(word)
            watch.begin()
            await measured(lambda: bool(feed.frames >= until and not watch.pending))  # noqa: B023 - called here alone
            answer({"times": watch.times})
    app.stop()
    await life


async def measured(is_done: Callable[[], bool]) -> None:
    """CPU and time until everything has been taken in."""
    began, cpu = perf_counter(), process_time()
    answer({"go": True})
    while not is_done():
        if perf_counter() > began + 30.0:
            raise TimeoutError("not everything came out within 30 s")
        await asyncio.sleep(0.01)
    answer({"cpu": process_time() - cpu, "seconds": perf_counter() - began})


# ---- the reference ----


class RefTrade(msgspec.Struct, gc=False):
    product_id: str
    price: float
    size: float
    time: str


class RefCandle(msgspec.Struct, gc=False):
    product_id: str
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class RefEvent(msgspec.Struct):
    trades: list[RefTrade] = []
    candles: list[RefCandle] = []


class RefFrame(msgspec.Struct):
    channel: str
    events: list[RefEvent]


class Open:
    """The open minute of a symbol, and its MACD-V of all minutes before."""

    __slots__ = ("close", "first", "high", "low", "macd_v", "minute", "time", "volume")

    def __init__(self) -> None:
        self.minute, self.time = "", 0
        self.first = self.high = self.low = self.close = self.volume = 0.0
        self.macd_v = FusedMacdV()
        for position in range(300):
            self.macd_v.update(101.0 + position % 7, 99.0, 100.0 + position % 3)

    def turn(self, trade: RefTrade) -> None:
        """A new minute: the last one is closed."""
        if self.minute:
            self.macd_v.update(self.high, self.low, self.close)
        self.minute = trade.time[:16]
        self.time = int(datetime.fromisoformat(f"{self.minute}:00Z").timestamp())
        self.first = self.high = self.low = trade.price
        self.volume = 0.0


class Reference:
    """Nothing but what the figures need: no order, no proof, no gaps, one timeframe."""

    def __init__(self) -> None:
        self.frames = 0
        self.following = asyncio.Event()
        self.times: Times = defaultdict(list)
        self.update: tuple[str, object] | None = None
        self._dirty: dict[tuple[str, int], tuple[object, ...]] = {}
        self._store = sqlite3.connect("reference.sqlite", isolation_level=None)
        self._store.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {TABLES}")

    async def follow(self, server: Mapping[str, Any]) -> None:
        numbers = {symbol: number for number, symbol in enumerate(server["symbols"])}
        opens = {symbol: Open() for symbol in numbers}
        decode = msgspec.json.Decoder(RefFrame, strict=False).decode
        self._write()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server["ws_url"], decode_text=False) as socket,
        ):
            for channel in ("heartbeats", "market_trades", "candles"):
                await socket.send_json({"type": "subscribe", "channel": channel, "product_ids": list(numbers)})
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self.frames += 1
                frame = decode(message.data)
                if frame.channel == "market_trades":
                    for event in frame.events:
                        for trade in reversed(event.trades):
                            held = opens[trade.product_id]
                            price = trade.price
                            if not trade.time.startswith(held.minute) or not held.minute:
                                held.turn(trade)
                            elif price > held.high:
                                held.high = price
                            elif price < held.low:
                                held.low = price
                            held.close = price
                            held.volume += trade.size
                        symbol = trade.product_id
                        number, time = numbers[symbol], held.time
                        # One row per touched candle and flush: the last one wins.
                        self._dirty[symbol, 60] = (
                            *(number, time, held.first, held.high, held.low, held.close, held.volume),
                            *(0, 0, 0),
                        )
                        self.update = (symbol, held.macd_v.peek(held.high, held.low, held.close))
                        self.times[symbol].append((monotonic_ns(), time, held.volume))
                elif frame.channel == "candles":
                    for event in frame.events:
                        for row in event.candles:
                            symbol = row.product_id
                            self._dirty[symbol, 300] = (
                                *(100 + numbers[symbol], row.start, row.open, row.high, row.low, row.close, row.volume),
                                *(0, 2, 0),
                            )
                elif frame.channel == "subscriptions":
                    self.following.set()

    def _write(self) -> None:
        if self._dirty:
            self._store.execute("BEGIN IMMEDIATE")
            rows = list(self._dirty.values())
            self._store.executemany("INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._store.execute("COMMIT")
            self._dirty.clear()
        asyncio.get_running_loop().call_later(WRITE_EVERY, self._write)


async def reference(server: Mapping[str, Any]) -> None:
    """The reference follows; it measures itself when told to."""
    client = Reference()
    life = asyncio.ensure_future(client.follow(server))
    await client.following.wait()
    answer({"ready": True})
    async for word, _ in commands():
        until = client.frames + int(word)
        client.times = defaultdict(list)
        await measured(lambda: client.frames >= until)  # noqa: B023 - called here alone
        answer({"times": client.times})
    life.cancel()


# ---- the measurement ----


class Child:
    """A process that answers lines with lines; ended by closing its stdin, or by its id."""

    def __init__(self, arguments: list[str], folder: str, core: int) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LIVERMORE_")}
        environment["XDG_CONFIG_HOME"] = folder
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self._process.pid, {cores[core % len(cores)]})

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the measurement ended early")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Pair:
    """A client and the exchange it follows."""

    def __init__(self, role: str, folder: str) -> None:
        self.server = Child([str(Path(__file__).with_name("_flood.py"))], folder, core=1)
        try:
            self.client = Child([__file__, role, json.dumps(self.server.hear())], folder, core=0)
        except BaseException:
            self.server.end()
            raise

    def measure(self, frames: int, send: str) -> dict[str, Any]:
        """One flood: what the client says of itself, and `sent` with when the frames left."""
        self.client.say(str(frames))
        self.client.hear()
        self.server.say(send)
        sent = self.server.hear()
        return self.client.hear() | self.client.hear() | sent

    def end(self) -> None:
        self.client.end()
        self.server.end()


def turns(pairs: list[Pair], frames: int, send: str) -> list[dict[str, Any]]:
    """The same flood for each, one after the other; their frames are made at the same time."""
    for pair in pairs:
        pair.server.say(f"prepare {frames}")
    for pair in pairs:
        pair.server.hear()
    # What the end of a quiet minute set off is over by then.
    sleep(0.3)
    return [pair.measure(frames, send) for pair in pairs]


def latencies(found: Mapping[str, Any]) -> tuple[float, float]:
    """p50 and p99 in microseconds, from a frame with trades to the first update that has them in it."""
    differences = []
    for symbol, frames in found["sent"].items():
        updates = iter(found["times"][symbol])
        came, minute, volume = next(updates)
        for left, wanted, least in frames:
            while minute < wanted or (minute == wanted and volume < least * (1.0 - 1e-9)):
                came, minute, volume = next(updates)
            differences.append((came - left) / 1e3)
    cuts = quantiles(differences, n=100)
    return cuts[49], cuts[98]


def measure(pairs: list[Pair]) -> None:
    blasts = [turns(pairs, BLAST, "blast") for _ in range(BLASTS)]
    own, least = ([found["cpu"] / BLAST * 1e6 for found in each] for each in zip(*blasts, strict=True))
    figures = {
        "benchmark": "live_cpu",
        "frames": BLAST,
        "us_per_frame": round(median(own), 2),
        "reference_us_per_frame": round(median(least), 2),
        "frames_per_second": round(median(BLAST / found[0]["seconds"] for found in blasts)),
        "ratio": round(median(one / other for one, other in zip(own, least, strict=True)), 2),
        "at_least": 3,
        "aim": 1.5,
    }
    print(json.dumps(figures), flush=True)
    paces = [turns(pairs, PACED, f"paced {RATE}") for _ in range(PACES)]
    rounds = [[latencies(found) for found in each] for each in paces]
    for position, name in enumerate(("p50", "p99")):
        one, other = ([found[position] for found in each] for each in zip(*rounds, strict=True))
        figures = {
            "benchmark": "live_latency",
            "frames_per_second": RATE,
            "quantile": name,
            "us": round(median(one), 1),
            "reference_us": round(median(other), 1),
            "ratio": round(median(a / b for a, b in zip(one, other, strict=True)), 2),
            "cpu_us_per_frame": round(median(each[0]["cpu"] for each in paces) / PACED * 1e6, 1),
            "reference_cpu_us_per_frame": round(median(each[1]["cpu"] for each in paces) / PACED * 1e6, 1),
            "load": round(os.getloadavg()[0], 1),
            "at_least": 3,
            "aim": 1.3,
        }
        print(json.dumps(figures), flush=True)


def main() -> None:
    if len(sys.argv) == 3:
        role = {"ours": ours, "reference": reference}[sys.argv[1]]
        asyncio.run(role(json.loads(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory(prefix="livermore-bench-") as folder:
        pairs: list[Pair] = []
        try:
            for role_name in ("ours", "reference"):
                pairs.append(Pair(role_name, folder))
            for pair in pairs:
                pair.client.hear()
            measure(pairs)
        finally:
            for pair in pairs:
                pair.end()


if __name__ == "__main__":
    main()
