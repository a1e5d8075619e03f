"""The service: says when a rate of change turns from falling to rising, or back."""

from __future__ import annotations

from collections.abc import Callable

from livermore_core import Context, Series


class Turns:
    """Subscribes, says that it is ready, and reports until it is cancelled."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rising: dict[Series, bool] = {}

    async def run(self, ready: Callable[[], None]) -> None:
        """What `context.start` supervises."""
        with self._context.subscribe({"indicator.value"}) as values:
            ready()
            while True:
                for event in await values.get():
                    if event.value is not None and event.value.indicator == "rate-of-change":
                        self._note(event.series, event.value.outputs["value"])

    def _note(self, series: Series, value: object) -> None:
        if not isinstance(value, float):
            return
        rising = value > 0.0
        if self._rising.setdefault(series, rising) is not rising:
            self._rising[series] = rising
            self._context.progress("example.turned", series=str(series), rising=rising)
