"""How a process ends: signals, a limit on shutdown, and leaving whatever does not let go."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from livermore_core.errors import ExitCode

SHUTDOWN_WITHIN = 15.0
LAST_MOMENT = 0.2

Leave = Callable[[int], None]


def leave(code: int) -> None:
    """End the process here and now; the store is consistent at every moment."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


class Watchdog:
    """A thread that leaves with 124 when a shutdown takes too long, even one that blocks the event loop."""

    def __init__(self, leave: Leave, say: Callable[[], None], within: float = SHUTDOWN_WITHIN) -> None:
        self._leave, self._say, self._within = leave, say, within
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        """The shutdown begins."""
        if self._timer is None:
            self._timer = threading.Timer(self._within, self._overdue)
            self._timer.daemon = True
            self._timer.start()

    def disarm(self) -> None:
        """The shutdown is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _overdue(self) -> None:
        self._say()
        self._leave(ExitCode.SHUTDOWN_OVERDUE)


@contextmanager
def signals(stop: Callable[[str], None], leave: Leave) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a stop, a second SIGINT leaves at once with 130, SIGHUP is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    loop = asyncio.get_running_loop()
    interrupts = 0

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            leave(ExitCode.INTERRUPTED)
        stop("SIGINT")

    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGTERM, stop, "SIGTERM")
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def leave_no_core() -> None:
    """A core dump would hold the keys: the limit is 0, unless LIVERMORE_TRACE asks for all there is."""
    if not os.environ.get("LIVERMORE_TRACE"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def run_to_end(main: Coroutine[Any, Any, ExitCode], leave: Leave = leave) -> ExitCode:
    """Run `main` on a loop of its own. Unlike `asyncio.run`, it does not wait for tasks that ignore cancellation."""
    loop = asyncio.new_event_loop()
    try:
        code = loop.run_until_complete(main)
    finally:
        _give_a_last_moment(loop)
        loop.close()
    if _is_held_by_threads():
        leave(code)
    return code


def _give_a_last_moment(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=LAST_MOMENT))
        loop.set_exception_handler(lambda loop, context: None)  # what is still there has been named already
    loop.run_until_complete(loop.shutdown_asyncgens())


def _is_held_by_threads() -> bool:
    """Whether a worker thread of the loop is stuck, for which the interpreter would wait for ever."""
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]
    for worker in workers:
        worker.join(LAST_MOMENT)
    return any(worker.is_alive() for worker in workers)
