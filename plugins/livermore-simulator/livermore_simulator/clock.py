"""Exchange time: real time, faster, but never ahead of what the stream has sent."""

from __future__ import annotations

import time

# A market is made day by day; much faster, and making it takes all the time there is, even that for a signal.
FASTEST = 100_000


class SimulationClock:
    """Starts at `start` (UNIX seconds) and runs at `speed`; speed 0 holds time still.

    `aim()` is where the clock would be by real time; the server sends everything up to there and then `reach`es it.
    """

    def __init__(self, start: float, speed: float = 1.0, longest_step: float = 0.25) -> None:
        self._now = start
        self._speed = speed
        self._longest_step = longest_step
        self._since = time.monotonic()

    @property
    def speed(self) -> float:
        """Exchange seconds per real second."""
        return self._speed

    def now(self) -> float:
        """Exchange time in UNIX seconds."""
        return self._now

    def aim(self) -> float:
        """Where exchange time should go next: at most `longest_step` real seconds on, so that a busy server lags."""
        return self._now + min(time.monotonic() - self._since, self._longest_step) * self._speed

    def reach(self, moment: float) -> None:
        """Exchange time has got to `moment`; it never goes back."""
        self._now = max(self._now, moment)
        self._since = time.monotonic()

    def set_speed(self, speed: float) -> None:
        """Run at another speed from here on; 0 holds time still."""
        self._speed = speed
        self._since = time.monotonic()
