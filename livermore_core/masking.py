"""Secrets are masked and deceptive characters escaped in whatever leaves the process: log, terminal, status, errors."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MASK = "***"
# A secret shorter than this says too little to be masked wherever it occurs.
SHORTEST_SECRET = 6
# Whoever has so many characters of a key in a row was told something.
PIECE = 12

# What looks like a secret, by what stands in every such text: to look for that takes no time.
_PATTERNS = {
    "-----BEGIN ": re.compile(r"-----BEGIN [^-]{1,40}-----.*?(?:-----END [^-]{1,40}-----|$)", re.DOTALL),
    "eyJ": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}"),
    "://": re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+(?=@)"),
    "Bearer ": re.compile(r"(?<=Bearer )[^\s\"']+"),
}
# C0 and C1 controls, line and paragraph separators, and what turns the direction of writing around.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RUN = re.compile(rf"[A-Za-z0-9+/=_%.~-]{{{PIECE},}}")

_whole: list[str] = []
_pieces: set[str] = set()


def hide(secret: str) -> None:
    """From now on, mask `secret`, its usual encodings, and every piece of them that could help to guess it."""
    secret = secret.strip()
    if len(secret) < SHORTEST_SECRET or secret in _whole:
        return
    # The armour of a key is no secret, and what looks like another key is known by it.
    lines = [line for line in secret.replace("\\n", "\n").splitlines() if not line.startswith("-----")]
    forms = {form for text in (secret, "".join(lines), *lines) for form in _forms(text)}
    # The longest first, so that a part of a secret never spoils the search for the whole.
    whole = {*_whole, *(form for form in _forms(secret) if len(form) >= SHORTEST_SECRET)}
    _whole[:] = sorted(whole, key=lambda form: (-len(form), form))
    _pieces.update(piece for form in forms if "-----" not in form for piece in _windows(form))


def mask(text: str) -> str:
    """`text` with every known secret and everything that looks like one replaced by ***."""
    for form in _whole:
        text = text.replace(form, MASK)
    if _pieces:
        text = _RUN.sub(lambda found: _without_pieces(found.group()), text)
    for sign, pattern in _PATTERNS.items():
        if sign in text:
            text = pattern.sub(MASK, text)
    return text


def harmless(text: str) -> str:
    """`text` at its full length, with secrets masked and unsafe characters escaped."""
    return _UNSAFE.sub(lambda found: repr(found.group())[1:-1], mask(text))


def everywhere(treat: Callable[[str], str], value: Any) -> Any:
    """`value`, JSON-able, with every text in it treated, keys too; what is neither text nor number becomes text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {treat(str(key)): everywhere(treat, each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [everywhere(treat, each) for each in value]
    return treat(str(value))


def guard_streams() -> None:
    """From now on nothing is printed unmasked, whoever prints it: a traceback, a warning, a plugin."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _Masking(stream))


class _Masking(io.TextIOWrapper):
    """A stream beside another one on the same file, that masks what is written."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        super().write(mask(text))
        return len(text)


def _forms(text: str) -> Iterator[str]:
    """The text as it is, and as it stands in JSON, in a URL, in hexadecimal and in Base64."""
    from json import dumps
    from urllib.parse import quote, quote_plus

    raw = text.encode("utf-8", "replace")
    yield from (text, dumps(text)[1:-1], quote(text, safe=""), quote(text), quote_plus(text))
    yield from (raw.hex(), raw.hex().upper(), *_base64_forms(raw))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Base64 of whatever holds `raw`: what comes before it shifts it by none, one or two bytes."""
    from base64 import b64encode, urlsafe_b64encode

    for encode in (b64encode, urlsafe_b64encode):
        yield encode(raw).decode()
        for shift, spoilt in enumerate((0, 2, 3)):
            encoded = encode(bytes(shift) + raw).decode()
            yield encoded.rstrip("=")[spoilt : -1 if encoded.endswith("=") else None]


def _windows(form: str) -> Iterator[str]:
    """Every piece of a form. One of small letters alone is a word that anybody may use."""
    for start in range(len(form) - PIECE + 1):
        piece = form[start : start + PIECE]
        if not (piece.isalpha() and piece.islower()):
            yield piece


def _without_pieces(run: str) -> str:
    if _pieces.isdisjoint(run[at : at + PIECE] for at in range(len(run) - PIECE + 1)):
        return run
    told, at = "", 0
    while at < len(run):
        if run[at : at + PIECE] not in _pieces:
            told, at = told + run[at], at + 1
            continue
        while run[at + 1 : at + 1 + PIECE] in _pieces:
            at += 1
        told, at = told + MASK, at + PIECE
    return told
