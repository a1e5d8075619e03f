"""Moments as Coinbase and HTTP write them, in UNIX seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

LATEST = 2**33
"""No moment and no bucket lies after this second (the year 2242): a greater number is not in seconds."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def moment(text: str) -> float | None:
    """UNIX seconds of an RFC 3339 text, exact to 1 us; a leap second is clamped to its eve.

    None if it is none, or lies before 1970 or after LATEST: a `datetime` of UTC could not hold every such moment.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    *whole, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = (int(part) for part in whole)
    micro = int((fraction or "0").ljust(6, "0")[:6])
    if second == 60:
        second, micro = 59, 999_999
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        found = datetime(year, month, day, hour, minute, second, micro, timezone(offset)).timestamp()
    except (ValueError, OverflowError):
        return None
    return found if 0.0 <= found <= LATEST else None


def http_date(text: str | None) -> float | None:
    """UNIX seconds of an HTTP date header. None if there is none that can be read."""
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after(text: str | None, date: float | None) -> float | None:
    """Seconds a `Retry-After` asks for, within [1, 300]; a date counts from the server's own. None if unreadable."""
    if text is None:
        return None
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        return min(300.0, max(1.0, float(stripped[:12])))
    until = http_date(stripped)
    if until is None or date is None:
        return None
    return min(300.0, max(1.0, until - date))
