"""Finding a series in a store by what the user typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from livermore_core.errors import NotStoredError, near
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS
from livermore_core.store.protocol import CandleStore


async def find_symbol(store: CandleStore, typed: str, exchange: str | None = None) -> list[Series]:
    """Every series of a symbol; an alias, lower case and a slash are understood. Raises NotStoredError."""
    known = await find_stored(store, exchange)
    wanted = canonical(typed, await followed(store))
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
        raise NotStoredError(f"{found[0].symbol} is stored of several exchanges: {names}; name the exchange too")
    return matching[0]


async def find_wanted(store: CandleStore, typed: Iterable[str]) -> list[str]:
    """Globs, and canonical symbols that are stored or followed. Raises NotStoredError for another one."""
    exchanges = await followed(store)
    known = {series.symbol for series in await store.series()}
    known.update(symbol for each in exchanges for symbol in each.get("symbols", ()))
    wanted = [canonical(each, exchanges) for each in typed]
    for each in wanted:
        # Of a store that is still empty nobody can say what it will hold.
        if known and each not in known and not any(sign in each for sign in "*?["):
            raise NotStoredError(f"{each!r} is neither stored nor followed{near(each, known)}")
    return wanted


async def check_exchange(store: CandleStore, exchange: str) -> None:
    """Raises NotStoredError for an exchange that is neither stored nor followed."""
    stored = {series.exchange for series in await store.series()}
    known = sorted(stored.union(each.get("name", "") for each in await followed(store)) - {""})
    if stored and exchange not in known:
        raise NotStoredError(
            f"exchange {exchange!r} is neither stored nor followed{near(exchange, known)}; known: {', '.join(known)}"
        )


async def followed(store: CandleStore) -> list[dict[str, Any]]:
    """What the running process, or the last one, said of each exchange that it follows."""
    status = await store.read_status() or {}
    exchanges: list[dict[str, Any]] = status.get("exchanges", [])
    return exchanges


def canonical(typed: str, exchanges: Sequence[Mapping[str, Any]]) -> str:
    """The symbol that was meant: an alias, lower case and a slash are understood."""
    wanted = typed.strip().upper().replace("/", "-")
    for each in exchanges:
        wanted = each.get("aliases", {}).get(wanted, wanted)
    return wanted
