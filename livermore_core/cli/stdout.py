"""Stdout, whose failures are told from those of everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from typing import Any, TextIO


class StdoutError(OSError):
    """Stdout does not take what is printed."""


def guarded() -> AbstractContextManager[Any]:
    """While in it, whoever prints meets StdoutError where stdout fails."""
    return nullcontext() if sys.stdout is None else redirect_stdout(_Guarded(sys.stdout))


def forget() -> None:
    """Let what stdout has not taken go nowhere: the interpreter tries again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Guarded:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _told_apart():
            return self._stream.write(text)

    def flush(self) -> None:
        with _told_apart():
            self._stream.flush()


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StdoutError(error.errno, error.strerror) from error
