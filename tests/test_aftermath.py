"""What judges a killed process's store must be seen to fail: a sound store, then the same one with something taken."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from livermore_core import Batch, Event, SeriesChange
from livermore_core.store.sqlite import open_store
from livermore_core.testing import look
from livermore_core.testing.store_contract import SERIES, change

MINUTES = (1, 2, 3)
KEEP = {"1m": 3}


@pytest.fixture
def aftermath(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import aftermath

    return aftermath


@pytest.mark.parametrize(
    ("taken", "invariants"),
    [
        ("SELECT 1", set()),
        ("DELETE FROM candles WHERE time = 120", {"S3", "S8"}),
        ("DELETE FROM events WHERE time = 120", {"S3", "S8", "E1", "E2"}),
        ("DELETE FROM events", {"S3", "S8", "E1"}),
        ("DELETE FROM coverage", {"S8"}),
        ("UPDATE candles SET close = 11.0 WHERE time = 120", {"S7"}),
        ("DELETE FROM candles WHERE time = 60; UPDATE coverage SET start = 120", {"S3"}),
    ],
)
async def test_what_is_taken_from_a_store_is_noticed_S3_S8(
    taken: str, invariants: set[str], tmp_path: Path, aftermath: Any
) -> None:
    path = tmp_path / "store.sqlite"
    journal, consumer = aftermath.Journal(), aftermath.Consumer(f"sqlite:///{path}")
    async with open_store(f"sqlite:///{path}") as store:
        for minute in MINUTES:
            await store.transact(change(minute))
            journal.acknowledged.append((60.0 * minute + 60.0, change(minute)))
            journal.handed_over.append((60.0 * minute + 60.0, change(minute)))
        await consumer.take(store)
    connection = sqlite3.connect(path)
    connection.executescript(taken)
    connection.close()
    found = await aftermath.judge(path, [SERIES], journal, consumer, KEEP)
    assert {violation.invariant for violation in found} == invariants, found


async def test_a_gap_of_which_nobody_says_that_it_is_known_is_noticed_E1(tmp_path: Path, aftermath: Any) -> None:
    gap = Event(
        kind="candle.gap",
        exchange=SERIES.exchange,
        symbol=SERIES.symbol,
        timeframe="1m",
        time=60,
        until=240,
        reason="x",
    )
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        await store.transact(Batch(events=[gap]))
        await store.transact(change(1, 3))
        assert list(aftermath.left_open(await look(store, [SERIES], now=0.0))) == []
        await store.transact(Batch(changes=[SeriesChange(series=SERIES, covered=[(120, 180)])]))
        (found,) = aftermath.left_open(await look(store, [SERIES], now=0.0))
    assert "[120, 180)" in found


async def test_a_damaged_page_is_noticed_S8(tmp_path: Path, aftermath: Any) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(f"sqlite:///{path}") as store:
        await store.transact(change(*range(1, 500)))
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)
    (found,) = await aftermath.judge(path, [SERIES], aftermath.Journal(), aftermath.Consumer(f"sqlite:///{path}"), {})
    assert found.invariant == "S8"


def test_a_record_that_the_kill_tore_was_not_acknowledged(tmp_path: Path, aftermath: Any) -> None:
    written = [aftermath.Record(1, 120.0, change(1)), aftermath.Record(2, 180.0, change(2)), aftermath.Record(1, 180.0)]
    packed = [msgspec.msgpack.encode(record) for record in written]
    content = b"".join(struct.pack(">I", len(each)) + each for each in packed)
    (tmp_path / "journal").write_bytes(content + struct.pack(">I", 4000) + b"torn")
    journal = aftermath.Journal()
    journal.add(tmp_path / "journal")
    assert [batch.events for _, batch in journal.acknowledged] == [change(1).events]
    assert [batch.events for _, batch in journal.handed_over] == [change(1).events, change(2).events]
    assert journal.rows == 1
