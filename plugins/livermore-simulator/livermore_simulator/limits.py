"""Token buckets in real time: how many requests, connections and messages the exchange takes."""

from __future__ import annotations

import time


class TokenBucket:
    """`rate` tokens a second, at most `capacity` saved up."""

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate, self._capacity = rate, capacity
        self._tokens = capacity
        self._since = time.monotonic()

    def take(self) -> bool:
        """Whether there was a token; it is gone then."""
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
