"""One writer for a store file: an exclusive lock beside it, never unlinked, that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from livermore_core.errors import StoreHeldError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold `<path>.lock` inside the block. Raises StoreHeldError that names the holder."""
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace") or "unknown"
            raise StoreHeldError(f"{path}: another instance holds this store: {holder}; stop it first") from None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        said = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": started})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, said.encode(), 0)
        yield
    finally:
        os.close(descriptor)
