"""Every fault that the simulated exchange can play, over real sockets: live again, all known, and all of it true."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livermore_simulator import Quirks
from livermore_simulator.primitives import WIRE, drawn
from wires import TIMEFRAMES, Wired, market, wired

from livermore_core.exchange import audit, feed, quiet
from livermore_core.testing import Fault
from livermore_core.testing.faults import to_text

BTC, ETH = "BTC-USD", "ETH-USD"
# Exchange seconds that are left alone after the last fault; a lie is found by the second audit after it.
QUIET, AUDITED = 180.0, 600.0
# What nobody can tell from the truth while it is said: found by the audit, as far as its page reaches.
LIES = {"revise", "scale", "cap"}
AUDIT = 200
WITHIN = 60.0
LEAST = 400

Met = Callable[[Wired], object]


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at each hour or day, or after minutes of real time, is looked at sooner."""
    random.seed("the jitter of back-off")
    monkeypatch.setattr(audit, "EVERY", dict.fromkeys(TIMEFRAMES, AUDIT))
    monkeypatch.setattr(feed, "LONGEST_WAIT", 0.2)
    monkeypatch.setattr(quiet, "FIRST", 0.3)
    monkeypatch.setattr(quiet, "LATER", (0.3, 0.6, 0.9))
    monkeypatch.setattr(quiet, "LOOK_EVERY", 0.1)


def counted(what: str) -> Met:
    return lambda run: run.client.counts[what]


def reconnected(run: Wired) -> bool:
    return run.feed.connections > 1


def lost(run: Wired) -> int:
    return run.feed.lost_frames


def failed(run: Wired) -> bool:
    return run.following.healer.requests > run.following.healer.successes


def revised(run: Wired) -> int:
    return run.following.recorder.revised


def nothing(run: Wired) -> bool:
    return True


def fault(kind: str, met: Met = nothing, **more: Any) -> Any:
    """A fault, and what shows besides that livermore has met it."""
    variant = more.get("how") or more.get("code") or more.get("channel") or ("lasting" if "lasts" in more else "once")
    return pytest.param(Fault(kind=kind, **more), met, id=f"{kind}-{variant}")


async def met_and_mended(
    folder: Path,
    met: Met,
    *,
    start: Sequence[Fault] = (),
    live: Sequence[Fault] = (),
    quiet_for: float = QUIET,
) -> None:
    """Play `start` while livermore starts and `live` once it is live; wait until it is met; nothing of it stays."""
    async with asyncio.timeout(WITHIN), wired(folder, start) as run:
        await run.running.live()
        run.exchange.faults.plan(live)
        await run.played()
        await run.until(lambda: bool(met(run)))
        told = run.exchange.faults.told()["past"]
        assert [each["fault"].kind for each in told if each["met"] == 0] == []
        assert len(told) == len(start) + len(live)
        violations = await run.account(quiet_for)
    assert violations == [], to_text([*start, *live])
    assert run.compared > LEAST


@pytest.mark.parametrize(
    ("one", "met"),
    [
        fault("rest.status", failed, lasts=200.0, code=503, body="html"),
        fault("rest.status", failed, lasts=200.0, code=200, body="html"),
        fault("rest.status", failed, on="request", nth=3, code=200, body="json"),
        fault("rest.status", failed, on="request", nth=3, code=429, headers={"Retry-After": "1"}),
        fault("rest.delay", lasts=200.0, amount=0.05),
        fault("rest.hang", failed, on="request", nth=3),
        fault("rest.drip", failed, on="request", nth=3, amount=1.0),
        fault("rest.cut", failed, lasts=200.0, amount=1.0),
        fault("rest.cut", failed, on="request", nth=4, amount=2000.0),
        fault("rest.mutate", lasts=300.0, how="reverse"),
        fault("rest.mutate", lasts=300.0, how="shuffle"),
        fault("rest.mutate", counted("data.conflict"), lasts=300.0, how="dup"),
        fault("rest.mutate", lasts=300.0, how="drop"),
        fault("rest.mutate", lasts=300.0, how="add_open"),
        fault("rest.mutate", counted("data.rejected"), lasts=300.0, how="off_grid"),
        fault("rest.mutate", counted("data.out_of_range"), lasts=300.0, how="out_of_range"),
        fault("rest.mutate", counted("data.rejected"), lasts=300.0, how="poison"),
        fault("clock.skew", lasts=300.0, amount=-20.0),
    ],
)
async def test_while_it_starts(one: Fault, met: Met, tmp_path: Path) -> None:
    await met_and_mended(tmp_path, met, start=[one])


@pytest.mark.parametrize(
    ("one", "met"),
    [
        fault("rest.mutate", revised, lasts=300.0, how="revise", symbol=BTC),
        fault("rest.mutate", revised, lasts=300.0, how="scale", symbol=BTC),
        fault("rest.mutate", revised, lasts=300.0, how="cap", symbol=BTC, amount=30.0),
    ],
)
async def test_a_lie_about_history_is_undone_by_the_audit(one: Fault, met: Met, tmp_path: Path) -> None:
    await met_and_mended(tmp_path, met, live=[one], quiet_for=AUDITED)


@pytest.mark.parametrize(
    ("one", "met"),
    [
        fault("ws.refuse"),
        fault("ws.upgrade", code=429, headers={"Retry-After": "1"}),
        fault("ws.upgrade", code=301, headers={"Location": "http://127.0.0.1:9/"}),
        fault("ws.hang"),
        fault("ws.silent"),
        fault("ws.sub", how="refuse", symbol=ETH, lasts=300.0),
        fault("ws.sub", how="partial", symbol=ETH),
        fault("ws.sub", how="no_ack", lasts=300.0),
        fault("exchange.down", failed, lasts=400.0),
    ],
)
async def test_on_the_way_to_a_new_connection(one: Fault, met: Met, tmp_path: Path) -> None:
    await met_and_mended(tmp_path, lambda run: met(run) and reconnected(run), live=[one, Fault(kind="ws.rst")])


@pytest.mark.parametrize(
    ("one", "met"),
    [
        *(fault("ws.close", reconnected, code=code) for code in (1000, 1008, 4000)),
        fault("ws.close", reconnected, lasts=300.0, code=1012),
        fault("ws.rst", reconnected),
        fault("ws.blackhole", reconnected),
        fault("ws.stall", lasts=200.0),
        fault("ws.stall", reconnected, lasts=900.0, code=0),
        fault("ws.mute", lasts=600.0, channel="heartbeats"),
        fault("ws.seq", lost, how="skip", amount=3.0),
        fault("ws.seq", counted("ws.out_of_order"), how="dup", amount=3.0),
        fault("ws.seq", counted("ws.out_of_order"), how="swap", amount=3.0),
        fault("ws.seq", reconnected, how="reset", on="frame", nth=40),
        fault("ws.late", symbol=BTC, amount=90.0),
        fault("ws.snapshot_again"),
        fault("ws.raw", counted("ws.bad_frame"), how="text", body="{"),
        fault("ws.raw", counted("ws.bad_frame"), how="binary", body="{}"),
        fault("ws.raw", reconnected, how="latin1", body="\xff\xfe", amount=25.0),
        fault("ws.burst", amount=200.0),
        fault("clock.step", lasts=60.0, amount=-20.0),
        fault("clock.step", lasts=60.0, amount=3.0, code=0),
    ],
)
async def test_while_it_is_live(one: Fault, met: Met, tmp_path: Path) -> None:
    await met_and_mended(tmp_path, met, live=[one])


async def test_a_symbol_that_goes_silent_is_found_out(tmp_path: Path) -> None:
    """Ten exchange seconds after a minute's end REST may be asked: at this speed that is later than what waits now."""
    async with asyncio.timeout(WITHIN), wired(tmp_path, speed=120.0) as run:
        await run.running.live()
        run.exchange.faults.plan([Fault(kind="ws.mute", symbol=BTC)])
        await run.until(lambda: bool(run.running.events("ws.muted")))
        run.exchange.faults.end_all()
        violations = await run.account(QUIET)
    assert violations == []
    assert run.compared > LEAST


@pytest.mark.parametrize("seed", [7])
async def test_a_storm_drawn_from_a_seed(seed: int, tmp_path: Path) -> None:
    storm = [one for one in storm_of(seed) if one.how not in LIES]
    assert len({one.kind for one in storm}) > 10
    async with asyncio.timeout(WITHIN), wired(tmp_path) as run:
        await run.running.live()
        run.exchange.faults.plan(storm)
        await run.until(lambda: run.exchange.faults.told()["past"][-1:] != [] and is_spent(run))
        run.exchange.faults.end_all()
        violations = await run.account(AUDITED)
    assert violations == [], to_text(storm)
    assert run.compared > LEAST


def storm_of(seed: int) -> list[Fault]:
    return drawn(seed, list(market().products), hours=0.5, per_hour=60.0)


def is_spent(run: Wired) -> bool:
    """Whether all is over but what waits for events, of which there may be no more."""
    told = run.exchange.faults.told()
    return not told["active"] and all("events" in each for each in told["planned"])


def test_the_same_seed_is_the_same_storm() -> None:
    assert storm_of(7) == storm_of(7) != storm_of(8)
    assert {one.kind for one in drawn(7, [BTC])} == set(WIRE)


async def test_native_rows_unlike_their_parts_change_themselves_alone_and_are_counted(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), wired(tmp_path, quirks=replace(Quirks.none(), native_differs=True)) as run:
        await run.running.live()
        seam = run.now
        await run.passed(1800.0)
        await run.settle()
        status = run.following.status()
        rows = {series: await run.running.store.candles(series) for series in run.series}
    unlike = 0
    for series, held in rows.items():
        truth = {row[0]: row[1:] for row in run.truth(series.symbol, series.timeframe, 0, 1 << 40)}
        sums = {row[0]: row[1:] for row in run.sums(series.symbol, series.timeframe, 0, 1 << 40)}
        for row in held:
            values = (row.open, row.high, row.low, row.close, row.volume)
            if row.source == "rest" or series.timeframe == TIMEFRAMES[0]:
                assert values == pytest.approx(truth[row.time], rel=1e-9), (series, row)
                unlike += truth[row.time] != sums[row.time]
            elif row.time > seam:  # one that was open there has native parts
                assert values == pytest.approx(sums[row.time], rel=1e-9), (series, row)
    assert unlike > 20
    assert status["native_differences"] > 0
    asked = Counter((path, query) for _, _, path, query, _ in run.exchange.requests if "candles" in path)
    # The audit asks for an hour's page whenever it has its turn; what asked for more would ask without end.
    assert max(asked.values()) <= 1800 / AUDIT + 2
