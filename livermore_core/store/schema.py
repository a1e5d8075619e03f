"""The tables of the embedded store, and how a row becomes a candle and back."""

from __future__ import annotations

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

COLUMNS = "time, open, high, low, close, volume, revision, source"

Row = tuple[int, float, float, float, float, float, int, int]


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
