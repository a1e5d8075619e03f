"""Finding a series in a store by what the user typed."""

from __future__ import annotations

from livermore_core.errors import ExitCode, LivermoreError, near
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.store.protocol import CandleStore


class NotStoredError(LivermoreError):
    """The store knows nothing of what was asked for."""

    exit_code = ExitCode.ANSWER_IS_NO


async def find_symbol(store: CandleStore, typed: str, exchange: str | None = None) -> list[Series]:
    """Every series of a symbol; an alias, lower case and a slash are understood. Raises NotStoredError."""
    wanted = typed.strip().upper().replace("/", "-")
    known = await find_stored(store, exchange)
    status = await store.read_status() or {}
    for followed in status.get("exchanges", ()):
        wanted = followed.get("aliases", {}).get(wanted, wanted)
    found = [series for series in known if series.symbol == wanted]
    if found:
        return found
    symbols = sorted({series.symbol for series in known})
    raise NotStoredError(f"nothing is stored of {typed!r}{near(wanted, symbols)}; stored: {', '.join(symbols[:20])}")


async def find_stored(store: CandleStore, exchange: str | None = None) -> list[Series]:
    """Every series that is stored, of one exchange if it is named. Raises NotStoredError where there is none."""
    everything = await store.series()
    known = [series for series in everything if exchange in (None, series.exchange)]
    if known:
        return known
    if not everything:
        raise NotStoredError("nothing is stored yet; `livermore start` fills the store")
    names = ", ".join(sorted({series.exchange for series in everything}))
    raise NotStoredError(f"nothing is stored of exchange {exchange!r}; stored: {names}")


async def find_series(store: CandleStore, typed: str, exchange: str | None, timeframe: str) -> Series:
    """The one series asked for. Raises NotStoredError, also where several exchanges have it."""
    found = await find_symbol(store, typed, exchange)
    matching = [series for series in found if series.timeframe == timeframe]
    if not matching:
        there = ", ".join(sorted({series.timeframe for series in found}, key=WIDTHS.__getitem__))
        raise NotStoredError(f"{found[0].symbol} is not stored at {timeframe}; stored: {there}")
    if len(matching) > 1:
        names = ", ".join(series.exchange for series in matching)
        raise NotStoredError(f"{found[0].symbol} is stored of several exchanges: {names}; name one with --exchange")
    return matching[0]
