"""The tables of the embedded store, how they come into a file, and how its rows and cursors are read and written."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from livermore_core.errors import ConfigurationError, StoreAbsentError
from livermore_core.market.candle import SOURCES, Candle

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, exchange TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL,
    UNIQUE (exchange, symbol, timeframe));
CREATE TABLE IF NOT EXISTS candles (
    series INTEGER NOT NULL, time INTEGER NOT NULL, open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL,
    close REAL NOT NULL, volume REAL NOT NULL, revision INTEGER NOT NULL, source INTEGER NOT NULL,
    hidden INTEGER NOT NULL, PRIMARY KEY (series, time),
    CHECK (0 < low AND low <= open AND open <= high AND low <= close AND close <= high AND 0 < volume)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS coverage (
    series INTEGER NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, time INTEGER NOT NULL,
    revision INTEGER NOT NULL, kind TEXT NOT NULL, indicator TEXT NOT NULL, payload BLOB NOT NULL,
    UNIQUE (series, time, revision, kind, indicator));
CREATE TABLE IF NOT EXISTS indicator_values (
    series INTEGER NOT NULL, indicator TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (series, indicator)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS status (only INTEGER PRIMARY KEY CHECK (only = 1), payload BLOB NOT NULL);
"""

# When the file was made, in UNIX milliseconds: no cursor of another file passes for one of its log. Of files that were
# made before it was noted, 1.
EPOCH = "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'epoch'), 1)"

# The last position that was trimmed.
FORGOTTEN = "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'forgotten'), 0)"

# The cursor after the newest event.
HEAD = f"SELECT {EPOCH} || '-' || coalesce(max(position), 0) FROM events"

# The cursor before so many newest events, or before all that are kept.
BEFORE_NEWEST = f"""
SELECT {EPOCH} || '-' || coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1 OFFSET ?), {FORGOTTEN})
"""

# One look at the log: its epoch, the last position that was trimmed, the newest, and a row per event after a position.
EVENTS_AFTER = f"""
SELECT * FROM
    (SELECT {EPOCH},
            {FORGOTTEN},
            coalesce((SELECT max(position) FROM events), 0))
LEFT JOIN (SELECT position, payload FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?)
ORDER BY position
"""

CURSOR = re.compile("([0-9]{1,18})-([0-9]{1,18})")
COLUMNS = "time, open, high, low, close, volume, revision, source"

Row = tuple[int, float, float, float, float, float, int, int]


def check(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    """Raises StoreAbsentError where there is nothing to read yet, ConfigurationError where the file is not for us."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if read_only and not tables:
        raise absent(path)
    if tables and not tables >= {"series", "candles", "coverage"}:
        raise ConfigurationError(f"{path} is the database of another program; name another file with --store")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise ConfigurationError(f"{path} was written by a newer livermore (schema {found}); upgrade livermore")


def create(connection: sqlite3.Connection, epoch: int) -> None:
    """Make the tables that are not there; where there were none, the log begins with this epoch."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    noted = f"INSERT OR IGNORE INTO meta SELECT 'epoch', {epoch} FROM pragma_user_version WHERE user_version = 0;"
    # All at once: with some of its tables it would pass for another program's, to a reader or after SIGKILL.
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {noted} PRAGMA user_version={VERSION}; COMMIT")


def absent(path: Path) -> StoreAbsentError:
    """What to say where there is no store."""
    return StoreAbsentError(f"{path}: there is no store here yet; `livermore start` makes one")


def place_of(cursor: str) -> tuple[int, int]:
    """The epoch and the position of a cursor; zeros for one that no log gave."""
    found = CURSOR.fullmatch(cursor)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def to_candle(row: Row) -> Candle:
    """The candle of a stored row."""
    return Candle(*row[:7], SOURCES[row[7]])


def to_row(series: int, candle: Candle, hidden: bool) -> tuple[object, ...]:
    """The row of a candle, all columns in the order of the table."""
    return (
        series,
        candle.time,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.revision,
        SOURCES.index(candle.source),
        hidden,
    )
