"""What can go wrong, by what the reader can do about it, and the exit codes.

LivermoreError                   exit 70
├── ConfigurationError           exit 78   fix the file, the variable, the flag
│   └── PluginError              exit 78   fix or disable the plugin
├── CredentialsError             exit 77   fix the key or its rights
├── StoreError                   exit 74   the store cannot be read or written
│   ├── StoreBusyError           exit 69   another program keeps the store locked
│   ├── StoreCorruptError        exit 74   what it keeps is damaged
│   ├── StoreLostError           exit 74   the store has forgotten what was written; a run begins anew
│   └── StoreHeldError           exit 75   another instance holds the store
├── CursorExpiredError           exit 1    events after a cursor are gone; read a snapshot first
├── NotStoredError               exit 1    the store knows nothing of what was asked for
├── UnavailableError             exit 69   what was required did not come up in time
└── ExchangeError                          an exchange's answer
    ├── TransientError                     ask again later
    │   ├── RateLimitedError               ask again after `retry_after` seconds
    │   └── BadResponseError               not what the protocol says
    └── PermanentError                     asking again will not help
        └── UnknownSymbolError             the exchange does not offer this symbol
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    ANSWER_IS_NO = 1
    USAGE = 2
    UNAVAILABLE = 69
    INTERNAL = 70
    STORE = 74
    HELD = 75
    CREDENTIALS = 77
    CONFIGURATION = 78
    SHUTDOWN_OVERDUE = 124
    INTERRUPTED = 130


class LivermoreError(Exception):
    """Base of all errors of livermore; its text is one line for the user."""

    exit_code = ExitCode.INTERNAL


class ConfigurationError(LivermoreError):
    """Something is wrong before the first connection."""

    exit_code = ExitCode.CONFIGURATION


class PluginError(ConfigurationError):
    """A plugin that is required does not load, or two plugins offer one name."""


class CredentialsError(LivermoreError):
    """Credentials were refused by the other side, or are insufficient."""

    exit_code = ExitCode.CREDENTIALS


class StoreError(LivermoreError):
    """The store cannot be read or written."""

    exit_code = ExitCode.STORE


class StoreBusyError(StoreError):
    """Another program keeps the store locked; it may be quite well."""

    exit_code = ExitCode.UNAVAILABLE


class StoreCorruptError(StoreError):
    """What the store keeps is damaged: nothing it says can be relied on."""


class StoreLostError(StoreError):
    """The store has forgotten what this run has written: what it knows must be read anew."""


class StoreHeldError(StoreError):
    """Another instance holds the store."""

    exit_code = ExitCode.HELD


class StoreAbsentError(StoreError):
    """There is no store to read: the answer to any question about it is no."""

    exit_code = ExitCode.ANSWER_IS_NO


class CursorExpiredError(LivermoreError):
    """Events after a cursor are no longer kept; everything after the cursor `oldest` is."""

    exit_code = ExitCode.ANSWER_IS_NO

    def __init__(self, cursor: str, oldest: str) -> None:
        super().__init__(
            f"cursor.expired: the log does not reach back to {cursor!r}, or is not the one that gave it;"
            f" read a snapshot, then the events after {oldest!r}"
        )
        self.cursor, self.oldest = cursor, oldest


class NotStoredError(LivermoreError):
    """The store knows nothing of what was asked for."""

    exit_code = ExitCode.ANSWER_IS_NO


class UnavailableError(LivermoreError):
    """What was required did not come up in time."""

    exit_code = ExitCode.UNAVAILABLE


class ExchangeError(LivermoreError):
    """An exchange refused, failed or could not be reached."""


class TransientError(ExchangeError):
    """The same request may succeed later: network, time-out, 5xx."""


class RateLimitedError(TransientError):
    """The exchange asks for a slower pace; `retry_after` in seconds, None where it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadResponseError(TransientError):
    """An answer or frame that is not what the protocol says."""


class PermanentError(ExchangeError):
    """The same request will not succeed later."""


class UnknownSymbolError(PermanentError):
    """The exchange does not offer this symbol."""


def leaf(error: BaseException) -> BaseException:
    """The first error inside a group of errors: what a task group died of."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def near(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest of `known`, or nothing where none is near."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), n=1)
    return f", did you mean {matches[0]!r}?" if matches else ""
