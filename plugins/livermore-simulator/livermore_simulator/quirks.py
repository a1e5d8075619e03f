"""The habits of the real exchange that a client must survive, each with a switch."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Quirks:
    """`rest_lag`: the newest rows are missing for up to so many exchange seconds after their end (0 to 60).

    `native_differs`: some candles of 5m and wider are not what their minutes add up to, in REST and in the truth.
    """

    rest_lag: float = 0.0
    gappy_snapshots: bool = True
    late_last_update: bool = True
    missing_last_update: bool = True
    html_429: bool = True
    unknown_members: bool = True
    cache: bool = True
    native_differs: bool = False

    @classmethod
    def all(cls) -> Quirks:
        """Every quirk on but `native_differs`: what is derived from minutes, as it must be, is not the truth then."""
        return cls(rest_lag=60.0)

    @classmethod
    def none(cls) -> Quirks:
        """A docile exchange."""
        return cls(**{field.name: field.type == "float" and 0.0 for field in fields(cls)})  # type: ignore[arg-type]
