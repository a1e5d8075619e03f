"""The kill loop: twenty SIGKILLs at named points and at any moment; the points themselves; the schema's statements."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from livermore_core.store.sqlite import open_store

pytestmark = pytest.mark.long
HERE = Path(__file__).parent
SEED = 1
CREATE = """
import asyncio, sys
import crashing
from livermore_core.store.sqlite import open_store

async def main():
    async with open_store(sys.argv[2]):
        pass

crashing.arm("schema", int(sys.argv[1]))
asyncio.run(main())
"""


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import crashing

    return crashing


def test_twenty_kills_lose_nothing_and_say_nothing_twice_S3_S8_V3_D13_P05_P06() -> None:
    command = [sys.executable, str(HERE / "kill.py"), "--count", "20", "--seed", str(SEED)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert summary["kills"] == sum(summary["per_point"].values()) == 20
    assert (summary["lost"], summary["violations"], summary["unreached"]) == (0, 0, {})
    assert summary["acknowledged_rows"] > 1000 < summary["compared"]
    assert summary["events_read"] > 100
    assert summary["gaps_read"] > 0


async def test_a_schema_killed_at_each_statement_is_made_by_the_next_start_P07(tmp_path: Path) -> None:
    ends = []
    for nth in range(1, 16):
        url = f"sqlite:///{tmp_path}/{nth}.sqlite"
        ends.append(create(nth, url))
        async with open_store(url) as store:
            assert await store.series() == []
            assert store.rebuilt is None
    # The last one comes after the last statement.
    assert ends == sorted(ends)
    assert ends.count(-9) >= 10
    assert ends[-1] == 0


def create(nth: int, url: str) -> int:
    """The exit code of a process that makes the store at `url` and is killed at its `nth` statement."""
    return subprocess.run([sys.executable, "-c", CREATE, str(nth), url], cwd=HERE, timeout=60).returncode


def test_every_named_point_is_in_the_code(crashing: Any) -> None:
    for point in crashing.POINTS.values():
        for place in filter(None, (point.place, point.within)):
            assert crashing.find(place)[2] is not None
    for gone in ("livermore_core.nowhere:Writer", "livermore_core.store.sqlite:Gone.commit"):
        with pytest.raises(crashing.NoSuchPointError, match="is no more"):
            crashing.find(gone)
