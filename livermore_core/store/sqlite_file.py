"""The file of the embedded store: where it is, making room for it, setting a corrupt one aside, connecting to it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livermore_core.errors import ConfigurationError, StoreAbsentError, StoreBusyError, StoreCorruptError, StoreError
from livermore_core.store.schema import EPOCH, check, create

BUSY_SECONDS = 5.0
KINDS: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_CORRUPT: StoreCorruptError,
    sqlite3.SQLITE_NOTADB: StoreCorruptError,
    sqlite3.SQLITE_BUSY: StoreBusyError,
}
MENDS = {
    sqlite3.SQLITE_BUSY: "; another program keeps it locked: close that one",
    sqlite3.SQLITE_FULL: "; make room on its disk",
    sqlite3.SQLITE_IOERR: "; its disk refuses: full, over quota, or failing",
}


def path_of(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names."""
    # Absolute: what is said of it must not look like a reason code, as `livermore.sqlite: ...` would.
    return Path(url.removeprefix("sqlite:///")).expanduser().absolute()


def has_room(path: Path) -> bool:
    """Whether the file can be made, as far as its nearest existing folder tells; makes nothing."""
    folder = next(each for each in path.parents if each.exists())
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def make_room(path: Path) -> None:
    """Make the file and its folder where they are not there. Raises ConfigurationError where that cannot be."""
    try:
        for folder in reversed([each for each in path.parents if not each.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        if path.is_dir():
            raise ConfigurationError(f"{path} is a directory; name a file, e.g. sqlite:///{path}/livermore.sqlite")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the store cannot be written: {error.strerror}; choose another place"
        ) from None


def check_sound(path: Path, read_only: bool) -> None:
    """Read the whole file. Raises StoreCorruptError for no sound database, StoreError where it cannot be read now.

    By a connection of its own, which has nothing in memory; beside a writer `read_only`, so that it alone writes.
    """
    connection = sqlite3.connect(_source(path, read_only, glance=read_only), uri=True, timeout=BUSY_SECONDS)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise failure(path, error) from error
    finally:
        connection.close()
    if found != "ok":
        raise StoreCorruptError(f"{path} is damaged: {' '.join(found.split())}")


def set_aside(path: Path) -> Path:
    """Move a file away (never delete it), and make an empty one; returns where it went."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return aside


def failure(what: object, error: Exception) -> StoreError:
    """What SQLite says of a file, with the name of the error, as the kind of error that it is."""
    # Text that cannot be decoded has no code.
    unknown = sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else sqlite3.SQLITE_OK
    code = getattr(error, "sqlite_errorcode", unknown) & 0xFF
    kind, mend = KINDS.get(code, StoreError), MENDS.get(code, "")
    reason = "store.full: " if code == sqlite3.SQLITE_FULL else ""
    name = "SQLite" if isinstance(error, sqlite3.Error) else type(error).__name__
    return kind(f"{reason}{what}: {getattr(error, 'sqlite_errorname', name)}: {error}{mend}")


class OpenFile:
    """The file at a path, open; a reader's is always the one that is there now. Runs on the store's executor only.

    `epoch` is that of its log. Raises what `connect` raises.
    """

    def __init__(self, path: Path, read_only: bool, glance: bool) -> None:
        self._path, self._read_only, self._glance = path, read_only, glance
        self._open()

    def rows(self, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        """What a statement finds."""
        if self._read_only and self._there() not in (None, self._identity):
            before = self.connection
            # Who makes the new one may have only begun.
            with suppress(StoreAbsentError):
                self._open()
                before.close()
        return self.connection.execute(statement, parameters).fetchall()

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def _open(self) -> None:
        # Looked at first: one that takes its place meanwhile is found by the next look.
        identity = self._there()
        connection = connect(self._path, self._read_only, self._glance)
        ((epoch,),) = connection.execute(f"SELECT {EPOCH}")
        self.connection, self.epoch, self._identity = connection, epoch, identity

    def _there(self) -> tuple[int, int] | None:
        """Which file is at the path, if one can be seen there."""
        with suppress(OSError):
            found = self._path.stat()
            return found.st_dev, found.st_ino
        return None


def connect(path: Path, read_only: bool, glance: bool) -> sqlite3.Connection:
    """A connection: to write with every table there, or to read. Raises what `check` raises of a file not for us."""
    source = _source(path, read_only, glance)
    connection = sqlite3.connect(source, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        check(connection, path, read_only)
        if not read_only:
            create(connection, time.time_ns() // 1_000_000)
    except BaseException:
        connection.close()
        raise
    return connection


def _source(path: Path, read_only: bool, glance: bool) -> str:
    # A reader makes a log beside the file if there is none; but then nobody writes, and a glance does without.
    is_at_rest = glance and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if is_at_rest else ''}"
