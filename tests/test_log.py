"""Logging: one line an event, secrets masked in every form, outside strings harmless, a closed stream no matter."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from livermore_core import log, masking

CANARY = "canary-Zx81+/q9==value"
BODY = "MHcCAQEEIBcanarycanary1234\nAwEHoUQDQgAEcanarycanary56"
PEM = f"-----BEGIN EC PRIVATE KEY-----\n{BODY}\n-----END EC PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def _set_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    monkeypatch.setattr(masking, "_whole", [])
    monkeypatch.setattr(masking, "_pieces", set())
    yield
    logging.getLogger().handlers = handlers
    log.structlog.reset_defaults()


def lines(format: str = "json", level: str = "debug", **fields: Any) -> list[str]:
    """What one event with these fields writes."""
    stream = io.StringIO()
    log.configure(format, level, stream)
    log.get(plugin="moon").info("some.event", **fields)
    return stream.getvalue().splitlines()


def test_a_json_line_has_its_event_time_and_level_first() -> None:
    (line,) = lines(series=3, ratio=0.5, none=None)
    fields = json.loads(line)
    assert list(fields)[:3] == ["timestamp", "level", "event"]
    assert (fields["event"], fields["level"], fields["plugin"]) == ("some.event", "info", "moon")
    assert (fields["series"], fields["ratio"], fields["none"]) == (3, 0.5, None)
    assert fields["timestamp"].endswith("Z")


def test_a_console_line_reads_as_a_sentence_of_keys() -> None:
    (line,) = lines("console", cause="no such file", count=3)
    assert line[8:] == ' info    some.event plugin=moon cause="no such file" count=3'


def test_no_format_is_json_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    log.configure(None, "info", stream)
    log.get().info("x")
    assert json.loads(stream.getvalue())["event"] == "x"


def test_what_is_below_the_level_is_not_said() -> None:
    assert lines(level="warning", a=1) == []


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY, safe=""),
        base64.b64encode(CANARY.encode()).decode(),
        CANARY.encode().hex(),
        f"before {CANARY} after",
    ],
)
def test_a_secret_is_masked_in_every_usual_form_L1_SK07(format: str, form: str) -> None:
    masking.hide(CANARY)
    text = "".join(lines(format, top=form, nested={"list": [form, {form: 1}]}, error=ValueError(form)))
    assert form not in text
    assert "***" in text


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\\n"), repr(PEM), PEM.splitlines()[1], PEM.splitlines()[2]])
def test_no_line_of_a_key_is_logged_L1(text: str) -> None:
    masking.hide(PEM)
    assert "canarycanary" not in "".join(lines(key=text))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (PEM, "canarycanary"),
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJ"),
        ("redis://user:hunter2@host:6379/0", "hunter2"),
        ("Authorization: Bearer abc.def", "abc.def"),
    ],
)
def test_what_looks_like_a_secret_is_masked_without_being_known_SK07(text: str, secret: str) -> None:
    assert secret not in "".join(lines(text=text))


def test_a_known_key_does_not_show_another_one_SK07() -> None:
    masking.hide(PEM.replace("canarycanary", "another"))
    assert "canarycanary" not in "".join(lines(text=PEM))


def test_a_traceback_is_one_line_and_masked_SK08() -> None:
    masking.hide(CANARY)
    stream = io.StringIO()
    log.configure("console", "info", stream)
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.get().error("it.broke", exc_info=True)
    (line,) = stream.getvalue().splitlines()
    assert "ValueError" in line
    assert CANARY not in line


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("sign", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\ud800"])
def test_control_characters_from_outside_are_escaped_L2_SF01(format: str, sign: str) -> None:
    log.configure(format, "info", stream := io.StringIO())
    log.get().info("frame", **{"symbol": f"BTC{sign}-USD", f"key{sign}": {"inner": [f"x{sign}"]}})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert sign not in text.removesuffix("\n")


def test_a_long_string_from_outside_is_cut_SF01() -> None:
    (line,) = lines(body="x" * 10_000)
    assert len(json.loads(line)["body"]) == 200


def test_a_closed_stream_loses_the_line_and_nothing_else_P25_SF04() -> None:
    stream = io.StringIO()
    log.configure("json", "info", stream)
    stream.close()
    log.get().info("nobody.hears")


def test_libraries_are_heard_from_warning_on_and_masked_SK07() -> None:
    masking.hide(CANARY)
    stream = io.StringIO()
    log.configure("json", "info", stream)
    logging.getLogger("some.library").info("quiet")
    logging.getLogger("some.library").warning("went to %s", CANARY)
    try:
        raise OSError(f"at {CANARY}")
    except OSError:
        logging.getLogger("some.library").exception("it broke")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["library"], first["message"], first["level"]) == ("some.library", "went to ***", "warning")
    assert (second["message"], second["cause"], second["level"]) == ("it broke", "OSError: at ***", "error")


def test_a_library_that_formats_wrongly_is_heard_as_it_is() -> None:
    stream = io.StringIO()
    log.configure("json", "info", stream)
    record = logging.LogRecord("some.library", logging.ERROR, "x.py", 1, "%d", ("no number",), None)
    next(each for each in logging.getLogger().handlers if type(each).__module__ == log.__name__).handle(record)
    assert json.loads(stream.getvalue())["message"] == "%d"
