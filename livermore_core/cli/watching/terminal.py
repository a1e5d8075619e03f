"""The terminal: keys one by one, a screen of its own that is written where it changed, and all as it was afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Self

from rich.console import Console
from rich.text import Text

from livermore_core.cli.watching.keys import INTERRUPT, Keys

# Seconds after which an escape is the key, and not the beginning of a sequence that the network has torn.
ESCAPE_WITHIN = 0.15
USUAL = (80, 24)


def can_watch() -> bool:
    """Whether there is a terminal that can be drawn on, and keys to be had of it."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Terminal:
    """Within `with`: `press` is told of each key, `changed` when the size has; `show` draws."""

    def __init__(self, press: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._console = Console(highlight=False)
        self._press, self._changed = press, changed
        self._keys = Keys()
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)
        self._shown: list[str] = []
        self._size = (0, 0)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._take()
        self._loop.add_reader(self._input, self._read)
        self._loop.add_signal_handler(signal.SIGWINCH, self._changed)
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._torn: asyncio.TimerHandle | None = None
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.remove_reader(self._input)
        for number in (signal.SIGWINCH, signal.SIGTSTP):
            self._loop.remove_signal_handler(number)
        self.give_back()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; a serial line says 0, and a terminal that is gone nothing."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return USUAL
        return size.columns or USUAL[0], size.lines or USUAL[1]

    def show(self, lines: Sequence[Text]) -> None:
        """Write the lines that are not there yet."""
        size = self.size
        if self._size != size:
            self._size, self._shown = size, []
            self._write("\x1b[2J")
        drawn = [self._drawn(line) for line in lines]
        pairs = enumerate(zip_longest(drawn, self._shown, fillvalue=""), start=1)
        # Cleared before it is written: after a full line that would take its last character.
        self._write("".join(f"\x1b[{at};1H\x1b[2K{line}" for at, (line, before) in pairs if line != before))
        self._shown = drawn

    def give_back(self) -> None:
        """Leave the terminal as it was found; it may be gone by now."""
        with suppress(OSError, termios.error):
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def _take(self) -> None:
        tty.setcbreak(self._input)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._size = (0, 0)

    def _suspend(self) -> None:
        self.give_back()
        # As if nobody handled it: where no shell could continue the process, it does not stop.
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._take()
        self._changed()

    def _read(self) -> None:
        try:
            typed = os.read(self._input, 1024)
        except OSError:
            typed = b""
        if not typed:  # the terminal is gone, and would be ready to say so for ever
            self._loop.remove_reader(self._input)
        for key in self._keys.feed(typed) if typed else [INTERRUPT]:
            self._press(key)
        if self._torn is not None:
            self._torn.cancel()
        self._torn = self._loop.call_later(ESCAPE_WITHIN, self._give_up) if self._keys.is_waiting else None

    def _give_up(self) -> None:
        for key in self._keys.give_up():
            self._press(key)

    def _drawn(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, width=self._size[0], no_wrap=True, overflow="crop", end="")
        return captured.get()

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._console.file.write(text)
            self._console.file.flush()
