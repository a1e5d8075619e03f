"""The names of keys: all of a shard carry one hash tag, so that one script changes them, on a cluster too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from livermore_core import Series

# Written into the store when it is made.
SHARDS = 16
# Who may write: each role has its own lease and its own log in every shard, so that each may be a process apart.
ROLES = ("candles", "values")


@dataclass(frozen=True)
class Layout:
    """The keys below `prefix` in a store of so many shards. A stream is the log of a role in a shard, by its number."""

    prefix: str
    shards: int = SHARDS

    @property
    def streams(self) -> range:
        """The number of every stream: those of candles, then those of values."""
        return range(len(ROLES) * self.shards)

    def shard(self, symbol: str) -> int:
        """The shard of a symbol: all its timeframes are together."""
        return _hash(symbol) % self.shards

    def stream(self, series: Series, role: str) -> int:
        """The stream that tells of a series."""
        return ROLES.index(role) * self.shards + self.shard(series.symbol)

    def role(self, stream: int) -> str:
        """The role that writes a stream."""
        return ROLES[stream // self.shards]

    @property
    def store(self) -> str:
        """The key of what holds for the whole store."""
        return f"{self.prefix}:store"

    @property
    def processes(self) -> str:
        """The key of the status rows."""
        return f"{self.prefix}:processes"

    def head(self, stream: int) -> str:
        """The key of lease and sequence number of a stream."""
        return f"{self._tag(stream)}:head:{self.role(stream)}"

    def log(self, stream: int) -> str:
        """The key of the log itself."""
        return f"{self._tag(stream)}:log:{self.role(stream)}"

    def coverage(self, shard: int) -> str:
        """The key of the coverage of every series of a shard."""
        return f"{self._tag(shard)}:coverage"

    def candles(self, series: Series) -> str:
        """The key of the blocks of candles of a series."""
        return f"{self._tag(self.shard(series.symbol))}:candles:{series}"

    def values(self, series: Series) -> str:
        """The key of the latest values of a series."""
        return f"{self._tag(self.shard(series.symbol))}:values:{series}"

    def _tag(self, stream: int) -> str:
        return f"{self.prefix}:{{{stream % self.shards}}}"


@cache
def _hash(symbol: str) -> int:
    """The same in every process, and spread well however alike the symbols are."""
    return int.from_bytes(blake2b(symbol.encode(), digest_size=8).digest())


def series_of(text: bytes) -> Series:
    """The series that `str(series)` named."""
    return Series(*text.decode().split(":"))
