"""Logging: console or JSON lines on stderr; secrets masked, outside strings harmless. The only user of structlog."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from livermore_core.masking import everywhere, harmless

LEVELS = ("debug", "info", "warning", "error")
LONGEST = 200


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


def clean(value: Any) -> Any:
    """`value` with secrets masked, unsafe characters escaped, and every string cut at LONGEST characters."""
    return everywhere(lambda text: _cut(harmless(text)), value)


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


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


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
