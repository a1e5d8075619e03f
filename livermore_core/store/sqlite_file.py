"""The file of the embedded store: where it is, making room for it, setting a corrupt one aside, connecting to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from livermore_core.errors import ConfigurationError, StoreError
from livermore_core.store.schema import check, create

BUSY_SECONDS = 5.0
UNSOUND = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def path_of(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names."""
    return Path(url.removeprefix("sqlite:///")).expanduser()


def has_room(path: Path) -> bool:
    """Whether the file can be made, as far as its nearest existing folder tells; makes nothing."""
    folder = next(each for each in path.absolute().parents if each.exists())
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def make_room(path: Path) -> None:
    """Make the file and its folder where they are not there. Raises ConfigurationError where that cannot be."""
    try:
        for folder in reversed([each for each in path.absolute().parents if not each.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        if path.is_dir():
            raise ConfigurationError(f"{path} is a directory; name a file, e.g. sqlite:///{path}/livermore.sqlite")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the store cannot be written: {error.strerror}; choose another place with --store"
        ) from None


def set_aside_if_corrupt(path: Path) -> Path | None:
    """Move a file that is no sound database aside (never delete it); returns where it went. Raises StoreError."""
    connection = sqlite3.connect(path)
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
            return None
    except sqlite3.DatabaseError as error:
        # One that is locked, or cannot be read now, may be quite well.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in UNSOUND:
            raise StoreError(said(path, error)) from error
    finally:
        connection.close()
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return aside


def said(path: Path, error: sqlite3.Error) -> str:
    """What SQLite says of the file, with the name of the error."""
    return f"{path}: {getattr(error, 'sqlite_errorname', 'SQLite')}: {error}"


def connect(path: Path, read_only: bool, glance: bool) -> sqlite3.Connection:
    """A connection: to write with every table there, or to read. Raises what `check` raises of a file not for us."""
    # A reader makes a log beside the file if there is none; but then nobody writes, and a glance does without.
    is_at_rest = glance and not path.with_name(f"{path.name}-wal").exists()
    source = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if is_at_rest else ''}"
    connection = sqlite3.connect(source, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        check(connection, path, read_only)
        if not read_only:
            create(connection)
    except BaseException:
        connection.close()
        raise
    return connection
