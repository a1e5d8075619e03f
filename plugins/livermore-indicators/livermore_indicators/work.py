"""What one wake-up of the service brings: the latest values and the announcements, written together."""

from __future__ import annotations

from livermore_core import Event, IndicatorValue, Series, SeriesHost


class Work:
    """Values of one wake-up, written together."""

    def __init__(self) -> None:
        self.values: dict[Series, dict[str, tuple[IndicatorValue, SeriesHost | None]]] = {}
        self.events: list[Event] = []

    def add(self, series: Series, value: IndicatorValue, kind: str) -> None:
        """Announce a value."""
        self.events.append(event_of(series, value, kind))

    def latest(self, series: Series, value: IndicatorValue, host: SeriesHost | None) -> None:
        """Store a value with the state of its host, or with none."""
        self.values.setdefault(series, {})[value.indicator] = value, host


def event_of(series: Series, value: IndicatorValue, kind: str) -> Event:
    return Event(
        kind=kind,
        exchange=series.exchange,
        symbol=series.symbol,
        timeframe=series.timeframe,
        time=value.time,
        revision=value.revision,
        value=value,
    )
