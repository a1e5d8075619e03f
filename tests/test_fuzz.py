"""The program of `make fuzz`: 5,000 hostile inputs, and that a claim which does not hold is told and plays again."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest


def test_f1_r12_w32_sd01_five_thousand_hostile_inputs_break_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fuzz.run(fuzz.Fuzzer(1, tmp_path), 0, 5_000)
    assert found.crashes == 0, capsys.readouterr().err
    assert sum(found.done.values()) == 5_000
    assert set(found.done) == {"frame", "stream", "candles", "file", "environment", "history", *fuzz.claims.ENDPOINTS}


def test_a_claim_that_does_not_hold_is_told_with_how_to_see_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(data: bytes) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(fuzz.claims, "frame", broken)
    fuzzer = fuzz.Fuzzer(3, tmp_path)
    first = next(number for number in range(100) if fuzzer.input(number)[0] == "frame")
    assert fuzz.run(fuzzer, first, 1).crashes == 1
    said = capsys.readouterr().err
    assert "frame: ValueError: broken\n  (b'" in said
    assert f"--seed 3 --first {first} --count 1" in said
    assert fuzzer.input(first)[2] == fuzz.Fuzzer(3, tmp_path).input(first)[2]
