"""What no key takes whatever its type: values nested too deeply, numbers beyond 64 bits, text that is not Unicode."""

from __future__ import annotations

from typing import Any

DEEPEST = 32
LARGEST_NUMBER = 2**63 - 1


def unusable(value: Any) -> str:
    """Why nothing can be made of a value or of what is in it, with the key; "" where nothing is wrong.

    Without recursion: dotted keys nest a file deeper than Python recurses.
    """
    waiting: list[tuple[tuple[str, ...], int, Any]] = [((), 0, value)]
    while waiting:
        path, depth, each = waiting.pop()
        if isinstance(each, dict | list) and depth == DEEPEST:
            return f"{'.'.join(path[:3])}: nested too deeply"
        if isinstance(each, dict):
            waiting += [((*path, key), depth + 1, child) for key, child in each.items()]
        elif isinstance(each, list):
            waiting += [(path, depth + 1, child) for child in each]
        elif isinstance(each, int) and not -LARGEST_NUMBER <= each <= LARGEST_NUMBER:
            return _at(path, "a whole number of more than 64 bits")
        elif isinstance(each, str) and not is_unicode(each):
            return _at(path, "not Unicode")
    return ""


def is_unicode(text: str) -> bool:
    """Whether a text can be written: half of a surrogate pair, or a byte that was no UTF-8, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at(path: tuple[str, ...], reason: str) -> str:
    return f"{'.'.join(path)}: {reason}" if path else reason
