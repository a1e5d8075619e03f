"""Bars on a terminal for what takes long, and nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bars(**totals: int | None) -> Iterator[Callable[[str, int], None]]:
    """On stderr a bar per name, of which so many are awaited, if that is known; what is yielded advances one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as shown:
        tasks = {name: shown.add_task(name, total=total) for name, total in totals.items()}
        yield lambda name, number: shown.advance(tasks[name], number)
