"""Cursors: a place in every stream of a store, as one string."""

from __future__ import annotations

import re
from collections.abc import Sequence

Place = tuple[int, int]
BEGINNING: Place = (0, 0)
_PLACE = re.compile(r"(?:([0-9]{1,18})-([0-9]{1,18}))?")


class Cursor:
    """A place in every stream, that moves; `generation` is that of the store, whose logs begin anew with it."""

    def __init__(self, generation: str, places: Sequence[Place]) -> None:
        self._generation, self._texts = generation, [text_of(place) for place in places]

    def move(self, stream: int, place: Place) -> None:
        """This is the place in that stream now."""
        self._texts[stream] = text_of(place)

    def __str__(self) -> str:
        return f"{self._generation}:{'.'.join(self._texts)}"


def cursor_of(generation: str, places: Sequence[Place]) -> str:
    """The string of these places."""
    return str(Cursor(generation, places))


def places_of(cursor: str, generation: str, streams: int) -> list[Place] | None:
    """The places of a cursor; None for one that is not of this store."""
    said, _, rest = cursor.partition(":")
    found = [_PLACE.fullmatch(text) for text in rest.split(".")]
    if said != generation or len(found) != streams or None in found:
        return None
    return [(int(each[1] or 0), int(each[2] or 0)) for each in found if each is not None]


def text_of(place: Place) -> str:
    """`epoch-seq`, or nothing for the beginning."""
    return f"{place[0]}-{place[1]}" if place != BEGINNING else ""


def place_of(text: str) -> Place:
    """What `text_of` was given, or the id of an entry. Raises ValueError."""
    epoch, _, sequence = text.partition("-")
    return (int(epoch), int(sequence)) if text else BEGINNING
