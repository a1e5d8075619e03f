"""Which error an HTTP answer is: by its status first, its text only for the message. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from livermore_coinbase.moments import http_date, retry_after
from livermore_coinbase.text import shown
from livermore_core import (
    CredentialsError,
    LivermoreError,
    PermanentError,
    RateLimitedError,
    TransientError,
    UnknownSymbolError,
)


class _Problem(msgspec.Struct):
    error: str = ""
    error_details: str = ""
    message: str = ""


class TokenRefusedError(CredentialsError):
    """401 to a request that carried a token: a fresh one may pass."""


_problem = msgspec.json.Decoder(_Problem)


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, signed: bool, symbol: str | None = None
) -> LivermoreError:
    """The error that an answer other than 200 stands for; `signed` if a token was sent, `symbol` if it names one."""
    said = explanation(headers, body)
    if status == 429:
        wait = retry_after(headers.get("Retry-After"), http_date(headers.get("Date")))
        return RateLimitedError(f"rest.rate_limited: 429 {said}", wait)
    if status == 401 and signed:
        return TokenRefusedError(f"credentials.refused: 401 {said}; check the key, its expiry and this machine's clock")
    if status == 403 and signed:
        return CredentialsError(
            f"credentials.refused: 403 {said}; it needs the right `view`, and this address on its allow-list"
        )
    if status == 404 or (status == 400 and "productid" in said.lower()):
        if symbol is not None:
            return UnknownSymbolError(f"symbol.unknown: Coinbase does not offer {symbol}: {status} {said}")
        return PermanentError(f"rest.refused: {status} {said}")
    return _other(status, said)


def _other(status: int, said: str) -> LivermoreError:
    if 300 <= status < 400:
        return TransientError(f"rest.bad_redirect: {status}, not followed")
    if status == 403 or not 400 <= status < 500 or status in (401, 408, 425):
        return TransientError(f"exchange.unavailable: {status} {said}")
    return PermanentError(f"rest.refused: {status} {said}")


def explanation(headers: Mapping[str, str], body: bytes) -> str:
    """What a JSON error says, cut and escaped; of anything else only what it is."""
    if "json" in headers.get("Content-Type", ""):
        try:
            problem = _problem.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return "unreadable JSON"
        return shown(problem.error_details or problem.message or problem.error) or "no reason given"
    return shown(headers.get("Content-Type", "")) or "no content type"
