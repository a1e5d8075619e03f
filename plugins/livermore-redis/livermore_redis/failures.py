"""What an error of a server means: a reason code, whether it passes, and what mends it."""

from __future__ import annotations

import re
import ssl

from redis import exceptions

from livermore_core import StoreBusyError, StoreError

CREDENTIALS, READONLY = "store.credentials", "store.readonly"
TLS, TIMEOUT, OTHER = "tls.invalid", "store.timeout", "store.error"
# Reason codes, by the kind of an error; some are kinds of others.
KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.AuthenticationError, CREDENTIALS),
    (exceptions.AuthorizationError, CREDENTIALS),
    (exceptions.NoPermissionError, CREDENTIALS),
    (exceptions.BusyLoadingError, "store.loading"),
    (exceptions.MaxConnectionsError, "store.busy"),
    (exceptions.ReadOnlyError, READONLY),
    (exceptions.OutOfMemoryError, "store.full"),
    (exceptions.ClusterError, "store.unavailable"),
    (exceptions.TryAgainError, "store.unavailable"),
    (exceptions.RedisClusterException, "store.unavailable"),
    (exceptions.TimeoutError, TIMEOUT),
    (exceptions.ConnectionError, "store.unavailable"),
    (TimeoutError, TIMEOUT),
    (ssl.SSLError, TLS),
    (OSError, "store.unavailable"),
)
# The same by what the text of an answer says: where a script met it, there is nothing else.
CODES = {
    "NOPERM": CREDENTIALS,
    "NOAUTH": CREDENTIALS,
    "READONLY": READONLY,
    "LOADING": "store.loading",
    "BUSY": "store.busy",
    "OOM": "store.full",
    "MISCONF": "store.refusing_writes",
    "NOREPLICAS": "store.refusing_writes",
}
# Those of scripts, which leave the code out (the first one from Redis 7 on), and of redis-py.
PHRASES = {
    "ACL failure in script": CREDENTIALS,
    "can't run this command": CREDENTIALS,
    "can't access at least one of the keys": CREDENTIALS,
    "against a read only replica": READONLY,
    "stop-writes-on-bgsave-error": "store.refusing_writes",
    "MISCONF Errors writing": "store.refusing_writes",
    "No connection available": "store.busy",
    "max number of clients": "store.busy",
}
_CODE = re.compile(rf"(?:^|[ -])({'|'.join(CODES)}) ")
# What passes, so that the same is worth asking again.
PASSING = {CREDENTIALS, READONLY, TLS, "store.loading", "store.busy", "store.unavailable", TIMEOUT}
# What will not have passed in the few seconds that somebody waits.
LASTING = {CREDENTIALS, TLS}
MENDS = {
    "store.full": "; raise maxmemory, or keep less (retention)",
    "store.refusing_writes": "; its disk or its replicas fail: see its log",
    CREDENTIALS: "; check user, password and the rights in the README of livermore-redis",
    TLS: "; check the name in the URL, ca_certs, and that the server speaks TLS at this port",
}
ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)


def reason_of(error: BaseException) -> str:
    """The reason code of an error, or of what it stands for: what fails while connecting comes wrapped."""
    text = str(error)
    for phrase, reason in PHRASES.items():
        if phrase in text:
            return reason
    cause = error.__cause__ or error.__context__
    reason = reason_of(cause) if cause is not None else OTHER
    return reason if reason != OTHER else _own_reason(error, text)


def _own_reason(error: BaseException, text: str) -> str:
    for kind, reason in KINDS:
        if isinstance(error, kind):
            return reason
    found = _CODE.search(text)
    return CODES[found[1]] if found else OTHER


def failure(where: str, error: BaseException) -> StoreError:
    """What an error of the server means for whoever asked, with its reason code in front."""
    reason = reason_of(error)
    kind = StoreBusyError if reason in PASSING else StoreError
    return kind(f"{reason}: {where}: {str(error) or type(error).__name__}{MENDS.get(reason, '')}")
