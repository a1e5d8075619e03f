"""Logging: console or JSON lines on stderr; secrets masked, outside strings harmless. The only user of structlog."""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote

import structlog

LEVELS = ("debug", "info", "warning", "error")
LONGEST = 200
MASK = "***"
# A piece of a secret shorter than this says too little to be masked wherever it occurs.
SHORTEST_SECRET = 6
SHORTEST_LINE = 12

_PATTERNS = (
    re.compile(r"-----BEGIN [^-]{1,40}-----.*?(?:-----END [^-]{1,40}-----|$)", re.DOTALL),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}"),
    re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+(?=@)"),
    re.compile(r"(?<=Bearer )[^\s\"']+"),
)
# C0 and C1 controls, line and paragraph separators, and what turns the direction of writing around.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_secrets: list[str] = []


def configure(format: str | None = None, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging for the process: "console" or "json"; None is console on a terminal and JSON elsewhere."""
    target = sys.stderr if stream is None else stream
    if format is None:
        format = "console" if _is_terminal(target) else "json"
    _set_up(format, level, stream)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _FromStandardLibrary)]
    root.addHandler(_FromStandardLibrary(logging.WARNING))


def get(**bound: Any) -> Any:
    """A logger that adds `bound` to each of its lines: `log.info("event.name", key=value)`."""
    if not structlog.is_configured():
        _set_up("json", "info", None)
    return structlog.get_logger(**bound)


def hide(secret: str) -> None:
    """From now on, mask `secret`, its usual encodings and its longer lines in every line that is logged."""
    forms = {form for form in _forms(secret.strip()) if len(form) >= SHORTEST_SECRET}
    # The longest first, so that a part of a secret never spoils the search for the whole.
    _secrets[:] = sorted({*_secrets, *forms}, key=lambda form: (-len(form), form))


def clean(value: Any) -> Any:
    """`value` with secrets masked, unsafe characters escaped, and every string cut at LONGEST characters."""
    if isinstance(value, str):
        return _cut(harmless(value))
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(str(value))


def mask(text: str) -> str:
    """`text` with every known secret and everything that looks like one replaced by ***."""
    for secret in _secrets:
        text = text.replace(secret, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(MASK, text)
    return text


def harmless(text: str) -> str:
    """`text` at its full length, with secrets masked and unsafe characters escaped."""
    return _escape(mask(text))


def _set_up(format: str, level: str, stream: TextIO | None) -> None:
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _make_harmless,
            _to_json if format == "json" else _to_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *arguments: _Writer(stream),
        cache_logger_on_first_use=False,
    )


def _make_harmless(logger: Any, name: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    exception = fields.pop("exception", None)
    cleaned: dict[str, Any] = clean(fields)
    if exception is not None:  # a traceback is useless when it is cut
        cleaned["exception"] = harmless(exception)
    return cleaned


def _to_json(logger: Any, name: str, fields: Mapping[str, Any]) -> str:
    first = {key: fields[key] for key in ("timestamp", "level", "event") if key in fields}
    return json.dumps({**first, **fields}, default=str)


def _to_line(logger: Any, name: str, fields: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in fields.items() if key not in ("timestamp", "level", "event")}
    words = " ".join(f"{key}={_shown(value)}" for key, value in rest.items())
    return f"{fields['timestamp'][11:19]} {fields['level']:<7} {fields['event']} {words}".rstrip()


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text) if isinstance(value, str) and (not text or " " in text) else text


def _escape(text: str) -> str:
    return _UNSAFE.sub(lambda found: repr(found.group())[1:-1], text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "replace")
    encoded = base64.b64encode(raw).decode()
    # The armour of a key is no secret, and what looks like another key is known by it.
    split = secret.replace("\\n", "\n").splitlines()
    lines = {line for line in split if len(line) >= SHORTEST_LINE and not line.startswith("-----")}
    escaped = json.dumps(secret)[1:-1]
    return {secret, encoded, encoded.rstrip("="), quote(secret, safe=""), raw.hex(), escaped, *lines}


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


class _Writer:
    """Writes a line; a stream that is closed or full loses the line and nothing else."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):
            return

    debug = info = warning = error = critical = msg


class _FromStandardLibrary(logging.Handler):
    """Passes what libraries log through the standard library on, masked like our own."""

    def emit(self, record: logging.LogRecord) -> None:
        write: Callable[..., Any] = getattr(get(library=record.name), record.levelname.lower(), get().warning)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        cause = {"cause": f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"} if record.exc_info else {}
        write("library.log", message=message, **cause)
