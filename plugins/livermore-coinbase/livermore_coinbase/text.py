"""Text from outside, made fit for messages and logs: escaped, short, without tokens."""

from __future__ import annotations

import re

_LONGEST = 200
_TOKEN = re.compile(r"eyJ[\w-]{8,2000}(?:\.[\w-]{0,4000}){0,2}|-----BEGIN.{0,5000}", re.DOTALL)


def shown(text: str) -> str:
    """`text` in printable ASCII, at most 200 characters, with anything that looks like a credential left out."""
    masked = _TOKEN.sub("***", text[: 4 * _LONGEST])
    return ascii(masked)[1:-1][:_LONGEST]
