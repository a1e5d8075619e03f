"""What a person sees of a run on a terminal: a progress bar, a line per stage, then compact live lines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from livermore_core.market.events import BACKFILLED, CLOSED, GAP, HEALED, REVISED, VALUE, Event
from livermore_core.market.timeframe import iso
from livermore_core.masking import harmless
from livermore_core.reporting import is_alarm

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from livermore_core.app import App

QUIET = frozenset({"backfill.progress", "backfill.started", "backfill.completed", "gap.opened", "stopping"})


def make_view(log_format: str | None) -> View | None:
    """A view where stderr is a terminal and nobody asked for JSON; else None: the log lines speak."""
    if log_format == "json" or not sys.stderr.isatty():
        return None
    from rich.console import Console

    return View(Console(stderr=True, highlight=False))


class View:
    """Told of every event of a run by `report`; `watch` runs the app and shows what is announced meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._latest: dict[tuple[str, str], Event] = {}

    async def watch(self, app: App) -> Any:
        """Run the app; its announcements are shown as they come."""
        async with asyncio.TaskGroup() as group:
            lines = group.create_task(self._live(app))
            try:
                return await app.run()
            finally:
                lines.cancel()
                self._end_bar()

    def report(self, event: str, fields: Mapping[str, Any]) -> None:
        """Show one event of the run."""
        if event == "backfill.progress":
            self._advance(fields)
        elif event == "backfill.completed":
            self._end_bar()
            self._print(
                "green", f"{fields['candles']} candles in {fields['requests']} requests, {fields['errors']} errors"
            )
        elif event == "stage.started":
            self._print("cyan", f"stage {fields['stage']} ...")
        elif event == "stage.completed":
            self._print("cyan", f"stage {fields['stage']} done in {fields['seconds']} s")
        elif event == "ready":
            degraded = f", degraded: {', '.join(fields['degraded'])}" if fields["degraded"] else ""
            self._print("bold green", f"ready in {fields['seconds']} s{degraded}; Ctrl-C stops")
        elif event == "gap.healed":
            self._print("green", f"gap healed  {fields['symbol']} {fields['timeframe']} ({fields['reason']})")
        elif event not in QUIET:
            told = ", ".join(f"{key} {value}" for key, value in fields.items() if value not in (None, [], {}))
            self._print("yellow" if is_alarm(event) else "dim", f"{event}  {harmless(told)}")

    # ---- the progress bar ----

    def _advance(self, fields: Mapping[str, Any]) -> None:
        if self._progress is None:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            text = TextColumn("{task.fields[rate]:.1f}/s  ETA {task.fields[eta]}  errors {task.fields[errors]}")
            columns = (
                TextColumn("backfill"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[done]}"),
                text,
            )
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("", total=100.0, rate=0.0, eta="?", errors=0, done="")
        assert self._task is not None
        eta = fields["eta_seconds"]
        self._progress.update(
            self._task,
            completed=fields["percent"],
            rate=fields["rate"],
            eta="?" if eta is None else f"{eta:.0f} s",
            errors=fields["errors"],
            done=f"{fields['done']}/{fields['total']}",
        )

    def _end_bar(self) -> None:
        if self._progress is not None:
            with suppress(OSError):
                self._progress.stop()
            self._progress = None

    # ---- live lines ----

    async def _live(self, app: App) -> None:
        with app.bus.subscribe({CLOSED, HEALED, REVISED, GAP, VALUE, BACKFILLED}) as announced:
            while True:
                for event in await announced.get():
                    self._line(event)

    def _line(self, event: Event) -> None:
        """Closes of 5m and above with their MACD-V; a 1m close waits for its value too, so each is one line."""
        if event.kind == CLOSED:
            self._latest[event.symbol, event.timeframe] = event
        elif event.kind == VALUE and event.value is not None:
            closed = self._latest.pop((event.symbol, event.timeframe), None)
            if closed is not None and closed.candle is not None and closed.time == event.time:
                self._print("", _close_line(closed, event.value.outputs))
        elif event.kind == GAP:
            self._print(
                "yellow", f"gap opened  {event.symbol} {event.timeframe} from {iso(event.time)} ({event.reason})"
            )
        elif event.kind == REVISED:
            self._print("magenta", f"revised     {event.symbol} {event.timeframe} {iso(event.time)}")

    def _print(self, style: str, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the run goes on
            self._console.print(text, style=style or None, markup=False, soft_wrap=True)


def _close_line(closed: Event, outputs: Mapping[str, Any]) -> str:
    assert closed.candle is not None
    value, stage = outputs.get("macd_v"), outputs.get("stage") or "warming"
    told = f"MACD-V {value:8.2f} {stage}" if isinstance(value, float) else ""
    return f"{iso(closed.time)[11:16]}  {closed.symbol:<10} {closed.timeframe:>3}  {closed.candle.close:>12.8g}  {told}"
