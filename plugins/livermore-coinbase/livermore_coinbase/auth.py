"""Signs requests: a fresh token per REST request and per WebSocket message, by a clock corrected by the exchange's."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

import jwt

from livermore_coinbase.keys import Key

LOG = logging.getLogger("livermore_coinbase")
_BACKDATED = 5
_LIFE = 120
_RESOLUTION = 1.5
_WORTH_SAYING = 5.0


class CorrectedClock:
    """The wall clock, corrected by the skew measured against the exchange."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.skew = 0.0

    def now(self) -> float:
        """UNIX seconds by the exchange's clock, as far as it has been measured."""
        return self._wall() + self.skew

    def measured(self, exchange_time: float) -> None:
        """The exchange's clock showed `exchange_time` just now, in whole seconds; smaller differences are noise."""
        difference = exchange_time + 0.5 - self._wall()
        before = self.skew
        self.skew = 0.0 if abs(difference) <= _RESOLUTION else difference
        # A simulated exchange's clock runs away steadily: only a change of size is news.
        if abs(self.skew - before) > max(_WORTH_SAYING, abs(before) / 10):
            LOG.warning("clock.skew: this machine's clock differs from the exchange's by %.0f s", -self.skew)


class Signer:
    """Mints tokens with the key that `keys` gives at that moment."""

    def __init__(self, keys: Callable[[], Key], clock: CorrectedClock) -> None:
        self._keys = keys
        self._clock = clock

    def key(self) -> Key:
        """The key of this moment."""
        return self._keys()

    def request_token(self, method: str, host: str, path: str) -> str:
        """A token for one REST request; `path` without the query."""
        return self._token({"uri": f"{method} {host}{path}"})

    def stream_token(self) -> str:
        """A token for one WebSocket message."""
        return self._token({})

    def _token(self, claims: dict[str, object]) -> str:
        start = int(self._clock.now()) - _BACKDATED
        key = self._keys()
        body = {"sub": key.name, "iss": "cdp", "nbf": start, "exp": start + _LIFE, **claims}
        headers = {"kid": key.name, "nonce": secrets.token_hex(32)}
        return jwt.encode(body, key.private, algorithm=key.algorithm, headers=headers)
