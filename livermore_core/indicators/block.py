"""A block: something with state that can be copied, dumped and loaded, because its state is its attributes."""

from __future__ import annotations

import json
from collections import deque
from math import isfinite
from typing import Any, Self


class Block:
    """State = attributes: numbers, words, booleans, None, lists, deques and other blocks; nothing else."""

    def copy(self) -> Self:
        """An independent block in the same state."""
        twin = object.__new__(type(self))
        state = twin.__dict__
        for name, value in self.__dict__.items():
            state[name] = value.copy() if isinstance(value, (Block, list, deque)) else value
        return twin

    def dump(self) -> str:
        """The state as JSON; `load` continues from it bit for bit."""
        return json.dumps(_plain(self))

    def load(self, text: str) -> None:
        """Take over a dumped state. Raises ValueError where it is not of this kind of block."""
        _restore(self, json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Block):
        return {"block": {name: _plain(each) for name, each in value.__dict__.items()}}
    if isinstance(value, deque):
        return {"deque": [_plain(each) for each in value], "length": value.maxlen}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not isfinite(value):  # JSON has no such numbers
        return {"float": str(value)}
    return value


def _restore(block: Block, state: Any) -> None:
    fields = state.get("block") if isinstance(state, dict) else None
    if not isinstance(fields, dict) or fields.keys() != block.__dict__.keys():
        raise ValueError(f"this is no state of {type(block).__name__}")
    for name, value in fields.items():
        present = block.__dict__[name]
        if isinstance(present, Block):
            _restore(present, value)
        else:
            block.__dict__[name] = _revived(value)


def _revived(value: Any) -> Any:
    match value:
        case {"deque": items, "length": length}:
            return deque(map(_revived, items), maxlen=length)
        case {"float": text}:
            return float(text)
        case dict():
            raise ValueError("a dictionary is no state of a block")
        case list():
            return [_revived(each) for each in value]
    return value
