"""What was asked of `livermore watch` and is not stored, while something else is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from livermore_core.cli.watching.table import Table
from livermore_core.errors import near
from livermore_core.market.timeframe import WIDTHS


def absent(table: Table, output: str | None) -> Iterator[str]:
    """A line each of indicator, output and timeframes."""
    outputs = {name: None for known in table.known.values() if known.value for name in known.value.outputs}
    if table.indicator not in table.indicators:
        yield from _line(f"no value of {table.indicator!r} is stored", table.indicator, sorted(table.indicators))
    elif output is not None and output not in outputs:
        yield from _line(f"{table.indicator} has no output {output!r}", output, outputs)
    stored = sorted({series.timeframe for series in table.known}, key=WIDTHS.__getitem__)
    for timeframe in table.asked_timeframes:
        if timeframe not in stored:
            yield from _line(f"nothing is stored at {timeframe}", "", stored)


def _line(said: str, word: str, stored: Iterable[str]) -> Iterator[str]:
    """Of a store that is still empty nobody can say what it will hold."""
    if known := ", ".join(stored):
        yield f"{said}{near(word, stored)}; stored: {known}"
