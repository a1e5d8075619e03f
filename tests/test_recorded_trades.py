"""Recorded trades of BTC-USD, minute by minute through the tape, give exactly the published 5m candle."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from pathlib import Path

from livermore_core import Candle, Trade, same
from livermore_core.market.candle import merge
from livermore_core.market.tape import Tape, Unproven

# 2025-11-17 23:35 UTC, in the middle of a recording from 23:33:18 to 23:43:17.
BUCKET = 1_763_422_500


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def test_the_recorded_trades_of_2025_11_17_give_the_published_5m_candle_S9(shared_data: Path) -> None:
    recorded = rows(shared_data / "market" / "coinbase_BTC-USD_trades_2025-11-17T2333_2343.csv.gz")
    published = rows(shared_data / "market" / "coinbase_BTC-USD_5m_2025-07-01_2026-01-20.csv.gz")
    row = next(row for row in published if int(row["start_unix_s"]) == BUCKET)
    names = ("open", "high", "low", "close", "volume")
    expected = Candle(BUCKET, *(float(row[name]) for name in names))
    assert expected.volume == 24.01284737

    tape = Tape()
    tape.connected()
    counted = 0
    # The recording holds no ids: they are numbered here in its order, as the exchange numbers them densely.
    for identity, line in enumerate(recorded):
        moment = datetime.fromisoformat(line["time"]).timestamp()
        counted += BUCKET <= moment < BUCKET + 300
        tape.trade(Trade("BTC-USD", identity, float(line["price"]), float(line["size"]), moment))
    tape.subscribed(BUCKET + 600.0)
    assert counted == 1904

    minutes = [tape.close(BUCKET + 60 * minute) for minute in range(5)]
    parts = [minute for minute in minutes if isinstance(minute, Candle)]
    assert not any(isinstance(minute, Unproven) for minute in minutes)
    built = merge(BUCKET, parts)
    assert built is not None
    assert same(built, expected)
