"""Hours on a Redis server to which everything is done: each fault is named, and nothing is wrong after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis_server import WHERE, binary
from storm_faults import KINDS

HERE = Path(__file__).parent


def test_hours_of_every_fault_of_a_redis_server_leave_no_difference_D21_D22_D23_D25_D28_D29_D30() -> None:
    if binary() is None:
        pytest.skip(WHERE)
    options = ("--hours", "6", "--speed", "600", "--freeze", "4", "--seed", "1")
    command = [sys.executable, str(HERE / "storm.py"), *options]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert summary["faults"].keys() == KINDS.keys()
    assert (summary["differences"], summary["violations"]) == ([], [])
    assert summary["rows"] == summary["rows_of_the_truth"] > 1000 < summary["events_read"]
    assert summary["cursors_expired"] > 0
