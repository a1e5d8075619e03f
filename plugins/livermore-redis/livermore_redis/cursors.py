"""Cursors: a place in every stream of a store, as one string."""

from __future__ import annotations

from collections.abc import Sequence

from livermore_core import CursorExpiredError

Place = tuple[int, int]
BEGINNING: Place = (0, 0)


def cursor_of(generation: str, places: Sequence[Place]) -> str:
    """The string of these places; `generation` is that of the store, whose logs begin anew with it."""
    return f"{generation}:{'.'.join(text_of(place) for place in places)}"


def places_of(cursor: str, generation: str, streams: int) -> list[Place]:
    """The places of a cursor. Raises CursorExpiredError for one of another store."""
    said, _, rest = cursor.partition(":")
    try:
        places = [place_of(text) for text in rest.split(".")]
    except ValueError:
        places = []
    if said != generation or len(places) != streams:
        raise CursorExpiredError(cursor, "")
    return places


def text_of(place: Place) -> str:
    """`epoch-seq`, or nothing for the beginning."""
    return f"{place[0]}-{place[1]}" if place != BEGINNING else ""


def place_of(text: str) -> Place:
    """What `text_of` was given, or the id of an entry. Raises ValueError."""
    epoch, _, sequence = text.partition("-")
    return (int(epoch), int(sequence)) if text else BEGINNING
