"""Which keys were pressed, from the bytes that a terminal sends, in whatever pieces they come."""

from __future__ import annotations

import re

UP, DOWN, LEFT, RIGHT = "up", "down", "left", "right"
PAGE_UP, PAGE_DOWN, HOME, END = "page-up", "page-down", "home", "end"
ENTER, ESCAPE, BACKSPACE, INTERRUPT = "enter", "escape", "backspace", "interrupt"

# Of a sequence what comes after the escape and its bracket, without the state of Shift, Control and so on.
_SEQUENCES = {
    "A": UP, "B": DOWN, "C": RIGHT, "D": LEFT, "H": HOME, "F": END,
    "1~": HOME, "4~": END, "5~": PAGE_UP, "6~": PAGE_DOWN, "7~": HOME, "8~": END,
}  # fmt: skip
_CONTROLS = {"\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\x08": BACKSPACE, "\x03": INTERRUPT, "\x04": INTERRUPT}
_WHOLE = re.compile(r"\x1b(?:\[([0-9]*)[0-?]*[ -/]*([@-~])|O([@-~]))")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")


class Keys:
    """Turns bytes into keys: a printable character stands for itself, what nobody knows for nothing."""

    def __init__(self) -> None:
        self._left = ""

    @property
    def is_waiting(self) -> bool:
        """Whether a sequence has begun whose rest has not come: the escape key looks like that too."""
        return bool(self._left)

    def feed(self, typed: bytes) -> list[str]:
        """The keys that are complete by now."""
        self._left += typed.decode("ascii", "ignore")
        keys: list[str | None] = []
        while self._left and not _BEGUN.fullmatch(self._left):
            keys.append(self._next())
        return [key for key in keys if key is not None]

    def give_up(self) -> list[str]:
        """Nothing more comes of what has begun."""
        begun, self._left = self._left, ""
        return [ESCAPE] if begun == "\x1b" else []

    def _next(self) -> str | None:
        whole = _WHOLE.match(self._left)
        if whole is not None:
            self._left = self._left[whole.end() :]
            number, final, short = whole.groups()
            return _SEQUENCES.get(short or (f"{number}~" if final == "~" else final))
        character, self._left = self._left[0], self._left[1:]
        if character == "\x1b":
            return ESCAPE
        return _CONTROLS.get(character, character if character.isprintable() else None)
