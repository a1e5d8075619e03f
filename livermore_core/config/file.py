"""The configuration file: where it is, and its text as a tree; what cannot be read is said by line and column."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livermore_core.config.usable import unusable
from livermore_core.errors import ConfigurationError

NAME = "livermore.toml"
LARGEST = 1_000_000
# tomllib takes hours for a key of a hundred thousand parts.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){40}""", re.ASCII)


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: named by flag or LIVERMORE_CONFIG, in the working directory, in the user's config folder."""
    named = explicit or environ.get("LIVERMORE_CONFIG", "").strip()
    if named:
        return _expanded(Path(named))
    here = Path(NAME)
    if here.is_file():
        return here
    import platformdirs

    there = platformdirs.user_config_path("livermore") / NAME
    return there if there.is_file() else None


def _expanded(path: Path) -> Path:
    """`path` with its `~` resolved; as it stands where that user has no home, so that reading it says so."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def read(path: Path) -> dict[str, Any]:
    """The tree of a TOML file. Raises ConfigurationError `file:line:column: reason`; never another error."""
    return _parse(_decode(_bytes_of(path), path), path)


def _bytes_of(path: Path) -> bytes:
    try:
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigurationError(f"{path}: not a regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST:
        raise ConfigurationError(f"{path}: larger than {LARGEST} bytes, this is no configuration")
    return content


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        kind = " (it looks like UTF-16)" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise ConfigurationError(f"{path}:{line}:{column}: not UTF-8{kind}; save the file as UTF-8") from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    import tomllib  # most commands find no file

    if found := _LONG_KEY.search(text):
        line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
        raise ConfigurationError(f"{path}:{line}:{column}: nested too deeply")
    try:
        tree = tomllib.loads(text)
    except ValueError as error:
        reason, line, column = _place(str(error), text)
        raise ConfigurationError(f"{path}:{line}:{column}: {reason}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}:1:1: nested too deeply") from None
    if reason := unusable(tree):
        raise ConfigurationError(f"{path}: {reason}")
    return tree


def _place(message: str, text: str) -> tuple[str, int, int]:
    """The reason, line and column that a message of tomllib speaks of."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return message, 1, 1
    reason = message[: found.start()]
    if found[1]:
        return reason, int(found[1]), int(found[2])
    lines = text.split("\n")
    return reason, len(lines), len(lines[-1]) + 1
