"""Masking: no piece of a known secret in any form, and nothing that deceives the eye, by whatever door it leaves."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from rich.console import Console

from livermore_core import masking
from livermore_core.cli.group import run
from livermore_core.cli.view import View

LINES = (
    "MHcCAQEEIO5Zk3+2xY7/pQ1wBv9LrT4uHn8sJd6fGa0ScXeWqPoIoAoGCCqGSM49",
    "AwEHoUQDQgAEx1Rt7Yb+V3nKz5QmWc8LfJ2/hGd4Ps6A",
)
PEM = "-----BEGIN EC PRIVATE KEY-----\n{}\n{}\n-----END EC PRIVATE KEY-----".format(*LINES)
NAME = "organizations/0f4c2a7e-77d1-4a2b/apiKeys/9b1d7c3e-5a60"
PIECE = 12
FORMS = {
    "itself": "".join(LINES),
    "JSON": json.dumps("\n".join(LINES)),
    "URL": quote("".join(LINES), safe=""),
    "URL with slashes": quote("".join(LINES)),
    "form": quote_plus("".join(LINES)),
    "hex": PEM.encode().hex(),
    "HEX": PEM.encode().hex().upper(),
    "name": NAME,
} | {
    f"{encode.__name__} after {len(before)} bytes": encode(before + PEM.encode()).decode()[len(before) + 2 : -6]
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes)
    for before in (b"", b"x", b"xy", b"name:")
}


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test hides is known to that test alone."""
    monkeypatch.setattr(masking, "_whole", [])
    monkeypatch.setattr(masking, "_pieces", set())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_piece_of_a_key_is_told_in_any_form_however_it_is_cut_SK07_L1(form: str) -> None:
    masking.hide(PEM)
    masking.hide(NAME)
    # A word in small letters tells nothing, and what a line break parts is two pieces.
    lines = form.replace("\\n", "\n").split("\n")
    pieces = [line[at : at + PIECE] for line in lines for at in range(len(line) - PIECE + 1)]
    telling = [piece for piece in pieces if not (piece.isalpha() and piece.islower())]
    assert len(telling) > 30
    for start in range(0, len(form) - PIECE, 5):
        for length in (PIECE + 1, 3 * PIECE, len(form)):
            said = masking.mask(f"it was ({form[start : start + length]})")
            assert not [piece for piece in telling if piece in said], said
            assert "it was (" in said


def test_what_is_no_piece_of_a_secret_is_said_as_it_is_SK07() -> None:
    masking.hide(PEM)
    masking.hide(NAME)
    masking.hide("abc")  # too short to be masked wherever it occurs
    for text in ("organizations of abc", "livermore_coinbase 2024-01-03T11:51:00Z", "MHcCAQEEIO5", "-----"):
        assert masking.mask(text) == text


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_whoever_prints_prints_masked_SK07(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {each: io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for each in ("stdout", "stderr")}
    for each, stream in streams.items():
        monkeypatch.setattr(sys, each, stream)
    masking.guard_streams()
    masking.hide(PEM)
    guarded = getattr(sys, name)
    print(f"a {LINES[0][3:40]} b", file=guarded)
    guarded.writelines([PEM, " äöü\n"])
    guarded.flush()
    assert streams[name].buffer.getvalue().decode() == "a *** b\n*** äöü\n"  # type: ignore[attr-defined]


def test_a_stream_that_is_none_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)  # as under a service manager that closed it
    masking.guard_streams()
    assert (sys.stdout, sys.stderr) == (None, None)


def test_what_a_terminal_shows_of_an_event_is_masked_and_escaped_SF01_L2() -> None:
    masking.hide(PEM)
    screen = io.StringIO()
    view = View(Console(file=screen))
    view.report("feed.lost", {"reason": f"\x1b[31m\u202eevil\r\n {LINES[0]}"})
    assert screen.getvalue() == "feed.lost  reason \\x1b[31m\\u202eevil\\r\\n ***\n"


def test_an_error_of_a_command_is_masked_and_escaped_SF01_SK07(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masking.hide(PEM)
    assert run(["config", "show", "--config", f"{tmp_path}/\x1b[31m\u202e{LINES[1][:20]}"]) == 78
    assert capsys.readouterr().err == f"livermore: {tmp_path}/\\x1b[31m\\u202e***: No such file or directory\n"


def test_every_text_in_what_is_stored_of_a_run_is_treated_SK09_SK11() -> None:
    masking.hide(PEM)
    row = {"pid": 7, "rate": 0.5, "none": None, "on": True, f"k {PEM}": [{"reason": f"\x1b{LINES[0]}"}, ("a", 1)]}
    assert masking.everywhere(masking.harmless, row) == {
        "pid": 7,
        "rate": 0.5,
        "none": None,
        "on": True,
        "k ***": [{"reason": "\\x1b***"}, ["a", 1]],
    }
