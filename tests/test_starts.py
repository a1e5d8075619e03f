"""Starts that came to no end are remembered beside the store, and a crash loop ends in a safe start."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from livermore_core import LivermoreError, StoreHeldError
from livermore_core.starts import CRASHES, WITHIN, remembered
from livermore_core.testing import Program

ROOT = Path(__file__).parent.parent
KILLER = """
import os
from livermore_core import hookimpl

@hookimpl
async def backfill(context):
    os._exit(9)
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.sqlite"


@pytest.fixture
def killer(tmp_path: Path) -> dict[str, str]:
    """Variables with which a plugin is installed that kills the process, and the exchange is out of reach."""
    (tmp_path / "livermore_killer.py").write_text(KILLER)
    info = tmp_path / "livermore_killer-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: livermore-killer\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[livermore]\nkiller = livermore_killer\n")
    parts = ("coinbase", "indicators", "simulator")
    paths = [tmp_path, ROOT, *(ROOT / "plugins" / f"livermore-{part}" for part in parts)]
    nowhere = "http://127.0.0.1:9"
    return {"PYTHONPATH": ":".join(map(str, paths)), "LIVERMORE_EXCHANGES__COINBASE__REST_URL": nowhere}


def starts(tmp_path: Path) -> list[float]:
    path = tmp_path / "s.sqlite.starts"
    found: list[float] = json.loads(path.read_text()) if path.exists() else []
    return found


def killed(tmp_path: Path, store: str, times: int) -> None:
    """So many processes started on the store, and were killed."""
    for _ in range(times):
        before = starts(tmp_path)
        with remembered(store):
            within = starts(tmp_path)
        assert len(within) == len(before) + 1
        (tmp_path / "s.sqlite.starts").write_text(json.dumps(within))


def test_a_clean_end_crosses_its_own_start_out_and_no_other_P24(tmp_path: Path, store: str) -> None:
    with remembered(store) as crashes:
        assert (crashes, len(starts(tmp_path))) == (0, 1)
        assert (tmp_path / "s.sqlite.starts").stat().st_mode & 0o777 == 0o600
    assert starts(tmp_path) == []
    killed(tmp_path, store, 2)
    with remembered(store) as crashes:
        assert crashes == 2
    assert len(starts(tmp_path)) == 2


def test_a_refusal_is_no_crash_and_an_internal_error_is_one_P24(tmp_path: Path, store: str) -> None:
    with pytest.raises(StoreHeldError), remembered(store):
        raise StoreHeldError("another one")
    assert starts(tmp_path) == []
    with pytest.raises(LivermoreError), remembered(store):
        raise LivermoreError("a critical service gave up")
    assert len(starts(tmp_path)) == 1


def test_crashes_of_long_ago_or_of_a_clock_that_was_ahead_do_not_count_P24(tmp_path: Path, store: str) -> None:
    now = time.time()
    (tmp_path / "s.sqlite.starts").write_text(json.dumps([now - WITHIN - 1, now - 5, now + 1000]))
    with remembered(store) as crashes:
        assert crashes == 1


@pytest.mark.parametrize("text", ["", "{", "[null, true, {}]", "7"])
def test_a_file_of_starts_that_says_nothing_counts_none_P24(tmp_path: Path, store: str, text: str) -> None:
    (tmp_path / "s.sqlite.starts").write_text(text)
    with remembered(store) as crashes:
        assert crashes == 0


async def test_a_plugin_that_kills_the_process_again_and_again_is_left_out_P24(
    tmp_path: Path, store: str, killer: dict[str, str]
) -> None:
    command = ("start", "--store", store, "--log-format", "json")
    killed(tmp_path, store, CRASHES - 1)
    async with Program(*command, env=killer, directory=str(tmp_path)) as program:
        assert await program.ended() == 9
        assert not any("safe_mode" in line for line in program.lines)
    async with Program(*command, env=killer, directory=str(tmp_path)) as program:
        assert (await program.event("safe_mode"))["left_out"] == ["killer"]
        await program.event("exchange.unavailable")
        async with Program("status", "--store", store, env=killer, directory=str(tmp_path)) as status:
            assert await status.ended() == 1
        assert "reason    killer: safe_mode: left out after 5 crashes within 10 minutes" in status.lines
        assert await program.stop() == 0
    assert len(starts(tmp_path)) == CRASHES
