"""Runs livermore in this process and ends it with SIGKILL the n-th time that a named point of it is reached."""

from __future__ import annotations

import inspect
import os
import signal
import struct
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

import click
import msgspec

WRITER = "livermore_core.store.sqlite_writer:Writer"
TRANSACTION = "livermore_core.store.sqlite_writer:_Transaction"
RECORDER = "livermore_core.exchange.recorder:Recorder"
FOLLOWING = "livermore_core.exchange.following"
PUBLISH = "livermore_core.bus:Bus.publish"


class Point(NamedTuple):
    """A place in livermore's own code: `before` or `after` a call, or between the `statements` or `steps` inside it.

    `steps` are instructions of SQLite's machine. With `within`, only calls made inside that other one count.
    """

    place: str
    when: str
    within: str = ""


POINTS = {
    "schema": Point("livermore_core.store.sqlite_file:create", "statements"),
    "backfill.learn": Point(
        f"{RECORDER}._commit", "before", "livermore_core.exchange.backfill:StartupBackfillService._fetch"
    ),
    "begin.before": Point(f"{TRANSACTION}.__enter__", "before"),
    "begin.after": Point(f"{TRANSACTION}.__enter__", "after"),
    "rows.written": Point(f"{WRITER}._candles", "after"),
    "event.written": Point(f"{WRITER}._event", "after"),
    "value.written": Point(f"{WRITER}._value", "after"),
    "commit.before": Point(f"{TRANSACTION}.__exit__", "before"),
    "commit.inside": Point(f"{TRANSACTION}.__exit__", "steps"),
    "commit.after": Point(f"{WRITER}.commit", "after"),
    "commit.unapplied": Point("livermore_core.market.ledger:Change.apply", "before"),
    "publish.candle": Point(PUBLISH, "before", f"{RECORDER}._write"),
    "publish.value": Point(PUBLISH, "before", "livermore_indicators.service:IndicatorCalculationService._commit"),
    "status": Point(f"{WRITER}.write_status", "steps"),
    "seam.learn": Point(f"{RECORDER}._commit", "before", f"{FOLLOWING}:close_seam"),
    "seam.live": Point(f"{RECORDER}.go_live", "before"),
    "trim": Point(f"{WRITER}._replace_coverage", "before", f"{WRITER}.trim"),
}
TRIM_EVERY = 0.5


class Record(msgspec.Struct, array_like=True):
    """A batch as it is handed to the store, or, without one, that batch `number` was acknowledged at `moment`."""

    number: int
    moment: float
    batch: Any = None


class NoSuchPointError(Exception):
    """The code has changed: a point must be named anew."""


# ---- dying ----


def arm(name: str, nth: int) -> None:
    """Have this process killed the `nth` time that point `name` is reached. Raises NoSuchPointError."""
    point = POINTS[name]
    reached = count(1)
    inside: ContextVar[bool] = ContextVar("inside", default=not point.within)

    def reach() -> None:
        if inside.get() and next(reached) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    replace(point.place, lambda original: WRAPPERS[point.when](original, reach))
    if point.within:
        replace(point.within, lambda original: _marked(original, inside))


def replace(place: str, wrap: Callable[[Any], Any]) -> None:
    """Put `wrap(original)` where `module:Class.function` is. Raises NoSuchPointError."""
    owner, name, original = find(place)
    setattr(owner, name, wrap(original))


def find(place: str) -> tuple[Any, str, Any]:
    """Whose `module:Class.function` is, its name, and what it is. Raises NoSuchPointError."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    try:
        owner: Any = import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        return owner, name, vars(owner)[name]
    except (ImportError, AttributeError, KeyError):
        raise NoSuchPointError(f"{place} is no more; name this point of tests/crashing.py anew") from None


def _before(original: Any, reach: Callable[[], None]) -> Any:
    @wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        reach()
        return original(*arguments, **named)

    return call


def _after(original: Any, reach: Callable[[], None]) -> Any:
    @wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        reach()
        return result

    return call


def _statements(original: Any, reach: Callable[[], None]) -> Any:
    @wraps(original)
    def call(connection: Any, *arguments: Any) -> Any:
        connection.set_trace_callback(lambda statement: reach())
        try:
            return original(connection, *arguments)
        finally:
            connection.set_trace_callback(None)

    return call


def _steps(original: Any, reach: Callable[[], None]) -> Any:
    @wraps(original)
    def call(self: Any, *arguments: Any) -> Any:
        self._connection.set_progress_handler(reach, 1)
        try:
            return original(self, *arguments)
        finally:
            self._connection.set_progress_handler(None, 1)

    return call


WRAPPERS = {"before": _before, "after": _after, "statements": _statements, "steps": _steps}


def _marked(original: Any, inside: ContextVar[bool]) -> Any:
    """The same function, inside of which `inside` is true, in its tasks too."""

    @wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        token = inside.set(True)
        try:
            return original(*arguments, **named)
        finally:
            inside.reset(token)

    @wraps(original)
    async def call_async(*arguments: Any, **named: Any) -> Any:
        token = inside.set(True)
        try:
            return await original(*arguments, **named)
        finally:
            inside.reset(token)

    return call_async if inspect.iscoroutinefunction(original) else call


# ---- the journal ----


def keep_journal(path: str) -> None:
    """Write down what is handed to the store and what it acknowledges: what was written outlives SIGKILL."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    numbers = count(1)
    clocks: list[Any] = []

    def write(record: Record) -> None:
        payload = msgspec.msgpack.encode(record)
        os.write(descriptor, struct.pack(">I", len(payload)) + payload)

    def journaled(original: Any) -> Any:
        async def transact(self: Any, batch: Any) -> Any:
            number, moment = next(numbers), clocks[-1].now
            write(Record(number, moment, batch))
            cursor = await original(self, batch)
            write(Record(number, clocks[-1].now))
            return cursor

        return transact

    def known(original: Any) -> Any:
        def construct(self: Any, *arguments: Any) -> None:
            original(self, *arguments)
            clocks.append(self.clock)

        return construct

    replace(f"{RECORDER}.__init__", known)
    replace("livermore_core.store.sqlite:SqliteStore.transact", journaled)


@click.command()
@click.option("--at", type=click.Choice(list(POINTS)), help="Where to die.")
@click.option("--nth", type=int, default=1, help="Which time.")
@click.option("--journal", help="Write down here what is acknowledged.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(at: str | None, nth: int, journal: str | None, arguments: tuple[str, ...]) -> None:
    """Run `livermore ARGUMENTS`."""
    replace(f"{FOLLOWING}:TRIM_EVERY", lambda original: TRIM_EVERY)
    if journal:
        keep_journal(journal)
    if at:
        arm(at, nth)
    from livermore_core.cli import main as livermore

    sys.argv = ["livermore", *arguments]
    livermore()


if __name__ == "__main__":
    main()
