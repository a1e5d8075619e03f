"""What a service manager is told: ready, alive only while there is progress, stopping."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from livermore_core.cli.group import livermore
from livermore_core.status import Status
from livermore_core.supervisor import Supervisor
from livermore_core.testing import Harness, MemoryExchange, MemoryStore, harness, run_virtual

START = 1_704_270_034.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(manager: socket.socket) -> list[bytes]:
    words = []
    while True:
        try:
            words.append(manager.recv(100))
        except BlockingIOError:
            return words


def watched(manager: socket.socket, **more: str) -> Supervisor:
    return Supervisor({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000"} | more)


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}, {"WATCHDOG_USEC": "60000000"}])
def test_where_nobody_listens_nothing_fails(environ: dict[str, str]) -> None:
    supervisor = Supervisor(environ)
    supervisor.say("READY=1")
    assert supervisor.interval is None


def test_the_interval_is_half_of_what_is_allowed_to_this_process(manager: socket.socket) -> None:
    assert watched(manager).interval == 30.0
    assert watched(manager, WATCHDOG_PID=str(os.getpid())).interval == 30.0
    assert watched(manager, WATCHDOG_PID="1").interval is None
    assert watched(manager, WATCHDOG_USEC="soon").interval is None


def test_signs_of_life_end_when_the_pipeline_stands_and_go_on_in_a_declared_outage_P27_H6(
    manager: socket.socket,
) -> None:
    """The loop turns throughout, and frames come: only what closes minutes is frozen."""

    async def freeze(found: Harness) -> asyncio.Event:
        assert found.following.feed is not None
        thaw = asyncio.Event()
        found.following.feed.backlog.retraction(thaw.wait)  # type: ignore[arg-type]
        return thaw

    async def lived() -> tuple[int, int, int, int]:
        client = MemoryExchange({"AAA-USD": 5.0}, start=START, history=86_400.0, until=START + 7200.0, seed=1)
        async with harness(client, MemoryStore(), timeframes=("1m", "5m"), backfill_timeframes=("5m",)) as found:
            # A plugin that failed for good is no word about this exchange.
            status = Status(lambda: {"moon": "it failed"}, lambda event, fields: None)
            status.exchanges = {"memory": found.following}
            await found.live()
            status.change(is_ready=True)
            supervisor = watched(manager)
            keeping = asyncio.ensure_future(supervisor.keep_alive(status.is_progressing, lambda: None))
            counts = []

            async def minutes(number: int) -> None:
                await asyncio.sleep(60.0 * number)
                counts.append(len(heard(manager)))

            await minutes(5)
            thaw = await freeze(found)
            await minutes(5)
            thaw.set()
            await minutes(5)
            client.down = True
            client.cut()
            await minutes(5)
            keeping.cancel()
            return tuple(counts)  # type: ignore[return-value]

    healthy, frozen, thawed, down = run_virtual(lived())
    assert healthy >= 9
    assert frozen <= 4
    assert thawed >= 9
    assert down >= 9


def test_a_run_says_ready_and_stopping(manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    result = CliRunner().invoke(livermore, ["demo", "--products", "2", "--for", "4"], catch_exceptions=False)
    assert result.exit_code == 0
    words = heard(manager)
    assert words[0] == b"READY=1"
    assert words[-1] == b"STOPPING=1"
    assert b"WATCHDOG=1" in words
