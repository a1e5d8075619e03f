"""What a run says of itself: a loop that is held up and by whom, clocks that were set, memory that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from livermore_core import ExitCode, LivermoreError
from livermore_core.testing import Program, VirtualTimeLoop, run_virtual
from livermore_core.vitals import LATE, MEGABYTE, Clocks, Vitals, look_at_clocks, resident

BLOCKER = """
import time
from livermore_core import hookimpl

def hold_up_the_loop():
    time.sleep(1.0)

async def service(ready):
    ready()
    hold_up_the_loop()

@hookimpl
async def ingest(context):
    await context.start(service, name="blocker")
"""
HOUR = 3600.0
Said = list[tuple[str, dict[str, Any]]]


def vitals(said: Said, errors: list[LivermoreError] | None = None, **options: Any) -> Vitals:
    def report(event: str, fields: Mapping[str, Any]) -> None:
        said.append((event, dict(fields)))

    return Vitals(report, [], [].append if errors is None else errors.append, **options)


def lived(watched: Vitals, *moments: tuple[float, Callable[[], None]], until: float) -> None:
    """Run on virtual time; at each moment something happens."""

    async def life() -> None:
        loop = asyncio.get_running_loop()
        for moment, happens in moments:
            loop.call_later(moment, happens)
        running = asyncio.ensure_future(watched.run(lambda: None))
        await asyncio.sleep(until)
        running.cancel()

    run_virtual(life())


def freeze(seconds: float) -> Callable[[], None]:
    def happens() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.freeze(seconds)

    return happens


async def test_a_plugin_that_blocks_the_loop_of_a_real_run_is_named_with_its_place_P11(tmp_path: Path) -> None:
    (tmp_path / "livermore_blocker.py").write_text(BLOCKER)
    info = tmp_path / "livermore_blocker-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: livermore-blocker\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[livermore]\nblocker = livermore_blocker\n")
    paths = f"{tmp_path}:{Path(__file__).parent.parent}"
    for plugin in ("coinbase", "indicators", "simulator"):
        paths += f":{Path(__file__).parent.parent / 'plugins' / f'livermore-{plugin}'}"
    env = {"PYTHONPATH": paths, "LIVERMORE_LOG_FORMAT": "json"}
    async with Program("demo", "--products", "2", env=env, directory=str(tmp_path)) as program:
        named = await _lag_of(program, "blocker")
        assert (named["distribution"], named["version"], named["level"]) == ("livermore-blocker", "1.2", "warning")
        assert named["where"].startswith("livermore_blocker.hold_up_the_loop:")
        assert named["seconds"] > LATE
        assert await program.stop() == 0


async def _lag_of(program: Program, plugin: str) -> dict[str, Any]:
    count = 0
    while True:
        count += 1
        lag = await program.event("loop.lag", count=count)
        if lag.get("plugin") == plugin:
            return lag


def test_a_process_that_was_frozen_says_for_how_long_its_loop_stood_T12_P11() -> None:
    said: Said = []
    watched = vitals(said)
    lived(watched, (10.05, freeze(20.0)), until=60.0)
    ((event, fields),) = said
    assert (event, fields["times"]) == ("loop.lag", 1)
    assert 19.9 <= fields["seconds"] <= 20.0
    assert watched.row()["loop_lags"] == 1
    assert watched.row()["longest_loop_lag"] == fields["seconds"]


def test_a_loop_that_is_held_up_again_and_again_is_said_once_a_minute_with_the_worst_P11_L3() -> None:
    said: Said = []
    lived(vitals(said), *((10.05 + 5 * turn, freeze(1.0 + turn)) for turn in range(3)), until=200.0)
    assert [(event, round(fields["seconds"]), fields["times"]) for event, fields in said] == [
        ("loop.lag", 1, 1),
        ("loop.lag", 3, 2),
    ]


def test_a_loop_that_turns_says_nothing() -> None:
    said: Said = []
    lived(vitals(said), (10.0, freeze(LATE - 0.01)), until=600.0)
    assert said == []


# ---- clocks ----


def moments(*changes: tuple[float, float]) -> Callable[[], Clocks]:
    """Clocks that each look finds a second later, and at the n-th one moved: wall alone, or while suspended."""

    def run() -> Iterator[Clocks]:
        wall, boot = 1_700_000_000.0, 5000.0
        for monotonic, (stepped, suspended) in enumerate(changes):
            wall, boot = wall + 1.0 + stepped + suspended, boot + 1.0 + suspended
            yield Clocks(wall, float(monotonic), boot)

    return run().__next__


STILL = (0.0, 0.0)


@pytest.mark.parametrize("step", [90.0, -90.0, 1.5, -1.5])
def test_a_wall_clock_that_is_set_is_said_once_with_its_size_T01_T02(step: float) -> None:
    said: Said = []
    lived(vitals(said, clocks=moments(STILL, STILL, (step, 0.0), STILL, STILL)), until=4.5)
    assert said == [("clock.stepped", {"seconds": step})]


def test_a_clock_that_is_led_slowly_is_not_said_T01() -> None:
    said: Said = []
    lived(vitals(said, clocks=moments(STILL, *[(0.4, 0.0)] * 10)), until=9.5)
    assert said == []


def test_a_suspension_is_said_with_its_length_and_is_no_step_T04() -> None:
    said: Said = []
    lived(vitals(said, clocks=moments(STILL, (0.0, 3 * HOUR), STILL, (-7.0, 60.0))), until=3.5)
    assert said == [
        ("clock.resumed", {"seconds": 3 * HOUR}),
        ("clock.resumed", {"seconds": 60.0}),
        ("clock.stepped", {"seconds": -7.0}),
    ]


@pytest.mark.parametrize(
    ("ahead", "event"), [(3 * HOUR, "clock.resumed"), (3.0, "clock.stepped"), (-3 * HOUR, "clock.stepped")]
)
def test_without_a_clock_that_counts_suspensions_the_wall_clock_far_ahead_tells_T04(ahead: float, event: str) -> None:
    said: Said = []
    looks = (look._replace(boot=None) for look in iter(moments(STILL, (ahead, 0.0), STILL), None))
    lived(vitals(said, clocks=looks.__next__), until=2.5)
    assert said == [(event, {"seconds": ahead})]


def test_the_clocks_of_this_machine_do_not_move_against_each_other() -> None:
    suspended, stepped = look_at_clocks().moved(look_at_clocks())
    assert abs(suspended) < 1.0
    assert abs(stepped) < 1.0


# ---- memory ----


def test_memory_is_told_at_four_fifths_and_the_run_ends_above_the_ceiling_P14() -> None:
    said: Said = []
    errors: list[LivermoreError] = []
    holds = iter([100, 159, 161, *[170] * 100, 100, *[100] * 100, 201])
    watched = vitals(said, errors, ceiling=200, memory=lambda: next(holds) * MEGABYTE)
    lived(watched, until=190.0)
    assert [event for event, _ in said] == ["mem.high", "mem.high", "mem.well"]
    assert said[0][1] == {"reason": "mem.high", "megabytes": 161, "ceiling": 200, "seconds": 0.0, "suppressed": 0}
    assert errors == []
    lived(watched, until=60.0)
    assert errors[0].exit_code == ExitCode.INTERNAL
    assert "201 MB, more than `memory_ceiling` allows (200 MB)" in str(errors[0])


async def test_a_real_run_above_its_ceiling_ends_in_order_with_70_P14(tmp_path: Path) -> None:
    assert resident() > 10 * MEGABYTE
    env = {"LIVERMORE_LOG_FORMAT": "json", "LIVERMORE_MEMORY_CEILING": "20"}
    async with Program("demo", "--products", "2", env=env, directory=str(tmp_path)) as program:
        assert await program.ended() == ExitCode.INTERNAL
        assert "more than `memory_ceiling` allows (20 MB): it ends before the system kills it" in program.lines[-1]
        assert not any("Traceback" in line for line in program.lines)
