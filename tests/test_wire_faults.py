"""Every fault that the simulated exchange can play, over real sockets: live again, all known, the store is the truth."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from livermore_simulator import Quirks
from livermore_simulator.primitives import WIRE, drawn
from wires import START, TIMEFRAMES, Wired, wired

from livermore_core.exchange import audit, quiet
from livermore_core.market.timeframe import WIDTHS
from livermore_core.testing import Fault
from livermore_core.testing.faults import to_text

BTC, ETH = "BTC-USD", "ETH-USD"
# Exchange seconds that are left alone after the last fault; a lie is found by the second audit after it.
QUIET, AUDITED = 240.0, 800.0
LIES = {"revise", "scale", "cap"}
WITHIN = 60.0
LEAST = 400

Met = Callable[[Wired], object]


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at each hour or day, or after minutes of real time, is looked at sooner."""
    random.seed("the jitter of back-off")
    monkeypatch.setattr(audit, "EVERY", dict.fromkeys(TIMEFRAMES, 300))
    monkeypatch.setattr(quiet, "FIRST", 0.3)
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


def said(event: str) -> Met:
    return lambda run: run.running.events(event)


def nothing(run: Wired) -> bool:
    return True


def fault(kind: str, met: Met = nothing, **more: Any) -> Any:
    """A fault, and what shows besides that livermore has met it."""
    variant = more.get("how") or more.get("code") or more.get("channel") or ("lasting" if "lasts" in more else "once")
    return pytest.param(Fault(kind=kind, **more), met, id=f"{kind}-{variant}")


async def met_and_mended(
    folder: Path, met: Met, *, start: Sequence[Fault] = (), live: Sequence[Fault] = (), quiet_for: float = QUIET
) -> None:
    """Play `start` while livermore starts and `live` once it is live; all of it is met, and nothing of it stays."""
    async with asyncio.timeout(WITHIN), wired(folder, start) as run:
        await run.running.live()
        run.exchange.faults.plan(live)
        await run.played()
        violations = await run.account(quiet_for)
        told = run.exchange.faults.told()["past"]
        assert [each["fault"].kind for each in told if each["met"] == 0] == []
        assert len(told) == len(start) + len(live)
        assert met(run)
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
        *(fault("ws.close", reconnected, code=code) for code in (1000, 1008, 1011, 4000)),
        fault("ws.close", reconnected, lasts=300.0, code=1012),
        fault("ws.rst", reconnected),
        fault("ws.blackhole", reconnected),
        fault("ws.stall", lasts=200.0),
        fault("ws.stall", reconnected, lasts=900.0, code=0),
        fault("ws.mute", said("ws.muted"), lasts=600.0, symbol=BTC),
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
