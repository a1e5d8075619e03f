"""What has been told of values that can still be corrected, and what a new feeding of a host has to say beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import structs

from livermore_core import IndicatorValue, Series, SeriesHost

Key = tuple[Series, str]
NOTHING: Mapping[int, int] = {}


class Told:
    """By series and indicator the values, and of those that were corrected the revisions."""

    def __init__(self) -> None:
        self._values: dict[Key, dict[int, IndicatorValue]] = {}
        self._revisions: dict[Key, dict[int, int]] = {}

    def note(self, series: Series, host: SeriesHost, value: IndicatorValue) -> None:
        """It is told, or will be with what is being written. What the host can no longer replay is forgotten."""
        key = series, host.name
        values = self._values.setdefault(key, {})
        values[value.time] = value
        if value.revision:
            self._revisions.setdefault(key, {})[value.time] = value.revision
        while values and (oldest := next(iter(values))) <= host.replayed_from:
            del values[oldest]
            self._revisions.get(key, {}).pop(oldest, None)

    def newest(self, series: Series, name: str) -> IndicatorValue | None:
        """The value of the latest candle."""
        values = self._values.get((series, name))
        return values[max(values)] if values else None

    def revisions(self, series: Series, name: str) -> Mapping[int, int]:
        """The revision of each value that was corrected."""
        return self._revisions.get((series, name), NOTHING)

    def differences(
        self, series: Series, host: SeriesHost, values: Iterable[IndicatorValue]
    ) -> Iterator[tuple[IndicatorValue, bool]]:
        """Of what a host gives now, what is not told yet, and whether it is new; else it is a correction."""
        before = dict(self._values.get((series, host.name), {}))  # `note` forgets some of it meanwhile
        oldest, newest = min(before, default=0), max(before, default=0)
        for value in values:
            known = before.get(value.time)
            if (known is None and value.time < oldest) or (known is not None and known.outputs == value.outputs):
                continue
            is_new = value.time > newest
            if not is_new:
                value = structs.replace(value, revision=(known.revision if known is not None else 0) + 1)
            self.note(series, host, value)
            yield value, is_new
