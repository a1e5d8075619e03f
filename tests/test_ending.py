"""How a process ends: the limit on shutdown, tasks and threads that do not let go, signals in a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

from livermore_core import ExitCode
from livermore_core.ending import Watchdog, run_to_end


def test_the_watchdog_leaves_with_124_from_its_own_thread() -> None:
    left: list[tuple[int, bool]] = []
    over = threading.Event()

    def leave(code: int) -> None:
        left.append((code, threading.current_thread() is threading.main_thread()))
        over.set()

    watchdog = Watchdog(leave, lambda: None, within=0.0)
    watchdog.arm()
    watchdog.arm()
    assert over.wait(10)
    assert left == [(ExitCode.SHUTDOWN_OVERDUE, False)]


def test_a_watchdog_that_is_disarmed_does_nothing() -> None:
    left: list[int] = []
    watchdog = Watchdog(left.append, lambda: None, within=3600.0)
    watchdog.arm()
    watchdog.disarm()
    assert left == []
    assert not any(
        isinstance(thread, threading.Timer) and not thread.finished.is_set() for thread in threading.enumerate()
    )


def test_a_task_that_ignores_its_cancellation_does_not_hold_the_process_P12() -> None:
    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def main() -> ExitCode:
        kept.append(asyncio.create_task(deaf()))
        await asyncio.sleep(0)
        return ExitCode.OK

    kept: list[asyncio.Task[None]] = []
    assert run_to_end(main()) == ExitCode.OK
    kept[0]._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_thread_that_is_stuck_does_not_hold_the_process() -> None:
    release = threading.Event()
    left: list[int] = []

    async def main() -> ExitCode:
        asyncio.get_running_loop().run_in_executor(None, release.wait)
        return ExitCode.OK

    run_to_end(main(), left.append)
    release.set()
    assert left == [ExitCode.OK]


PROGRAM = """
import asyncio, signal, sys
from livermore_core import ending

async def main():
    stopped = asyncio.get_running_loop().create_future()
    with ending.signals(lambda cause: stopped.done() or stopped.set_result(cause), ending.leave):
        print("up", flush=True)
        print(await stopped, flush=True)
        await asyncio.sleep(60)
    return 0

sys.exit(ending.run_to_end(main()))
"""


def test_two_interrupts_end_a_real_process_with_130_and_a_hangup_does_not_P03_P04() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.kill(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "SIGINT\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == ExitCode.INTERRUPTED
