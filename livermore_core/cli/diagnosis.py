"""A row of `livermore doctor`: what was looked at, how it is, what was found, and what mends each kind of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from livermore_core.errors import (
    ConfigurationError,
    CredentialsError,
    ExchangeError,
    LivermoreError,
    PluginError,
    StoreError,
    UnavailableError,
)
from livermore_core.plugins import blamed

COLUMNS = ("area", "check", "state", "found", "mend")
# The first that fits holds, so what is special stands before what is general.
MENDS: tuple[tuple[type[LivermoreError] | tuple[type[LivermoreError], ...], str], ...] = (
    (CredentialsError, "use a key that is valid and has the right `view` alone, or none: market data is public"),
    (PluginError, "mend or update that plugin, or disable it: [plugins] disable = [...]"),
    (ConfigurationError, "mend what it names; `livermore config describe` says what each key means"),
    (StoreError, "look whose file it is; a corrupt one `livermore start` sets aside, and fetches its history again"),
    ((ExchangeError, UnavailableError), "check name resolution, firewall, proxy, and the URLs that are set for it"),
    (LivermoreError, "an error in that plugin: update it, or tell its author"),
)

Row = dict[str, str]


def row(area: str, check: str, state: str, found: str, mend: str = "") -> Row:
    """One row; `state` is ok, warn or fail."""
    return dict(zip(COLUMNS, (area, check, state, found, mend), strict=True))


@contextmanager
def failing(rows: list[Row], area: str, check: str) -> Iterator[None]:
    """Whatever is raised inside becomes a row that fails."""
    try:
        with blamed(f"{area}, {check}"):
            yield
    except LivermoreError as error:
        mend = next(mend for kind, mend in MENDS if isinstance(error, kind))
        rows.append(row(area, check, "fail", str(error), mend))
