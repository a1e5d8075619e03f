"""One writer for a store file: an exclusive lock beside it, never unlinked, that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livermore_core.errors import StoreError, StoreHeldError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold `<path>.lock` inside the block. Raises StoreHeldError that names the holder, StoreError on a full disk."""
    descriptor = os.open(_beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreHeldError(
                f"{path}: another instance holds this store: {_signed(descriptor)}; stop it first"
            ) from None
        _sign(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int, path: Path) -> None:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    said = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": started})
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, said.encode(), 0)
    except OSError as error:
        raise StoreError(f"{path}: its lock cannot be written: {error.strerror}; make room on its disk") from None


def _signed(descriptor: int) -> str:
    """Who holds it, in words; what is no signature of ours is not repeated."""
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        return f"pid {said['pid']} on {said['host']} since {said['since']}"
    except (ValueError, TypeError, KeyError):
        return "unknown"


def holder(path: Path) -> dict[str, Any] | None:
    """What the holder of the lock says of itself: pid, host, since; None where nobody holds it. Makes nothing."""
    try:
        descriptor = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Whether a lock is held is known by asking for it; a shared one, let go at once, keeps no other reader out.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError):
            said = json.loads(os.pread(descriptor, 4096, 0))
            return said if isinstance(said, dict) else {}
        return {}
    finally:
        os.close(descriptor)
    return None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
