"""How `livermore watch` looks: a head, the rows that fit, what the signs mean, and the keys, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from rich.text import Text

from livermore_core.cli.status import exchange_times, seconds_since
from livermore_core.cli.watching.absent import absent
from livermore_core.cli.watching.columns import BETWEEN, STAGES, Cell, cell, columns_of, fitting, ordered, stage_of
from livermore_core.cli.watching.controls import HELP, Controls
from livermore_core.cli.watching.following import Follower
from livermore_core.cli.watching.table import Row
from livermore_core.market.timeframe import iso
from livermore_core.masking import harmless
from livermore_core.status import follower, state_of

KEYS = "s sort  r reverse  / filter  j k scroll  ? keys  q quit"
LEFT_ALIGNED = "symbol"
# Below this height the rows need the lines of the legend.
LOW = 12
# Lines of a warning.
LONGEST = 3
STATES = {"LIVE": "bold green", "NOT RUNNING": "bold red"}


def picture(seen: Follower, controls: Controls, output: str | None, width: int, height: int | None) -> list[Text]:
    """The lines, none wider than `width`; all rows, and no keys, where no `height` is given."""
    said, since = exchange_times(seen.status), seconds_since(seen.status)
    every = seen.table.rows(seen.table.times({name: moment + since for name, moment in said.items()}))
    matching = [row for row in every if controls.filter.upper() in row.symbol.upper()]
    rows = ordered(matching, controls.sort, output, controls.falls)
    head = _head(seen, every, seen.table.times(said), output, width)
    if height is None:
        lines = [*head, *_body(rows, slice(None), seen, controls, output, width), *_legend(rows, width)]
    else:
        legend = _legend(rows, width) if height >= LOW else []
        room = max(1, height - len(head) - len(legend) - 3)  # the headings, and the last two lines
        controls.fit(len(rows), room)
        shown = slice(controls.top, controls.top + room)
        body = _help() if controls.is_helping else _body(rows, shown, seen, controls, output, width)
        body = [*body, *[Text()] * room][: room + 1]
        lines = [*head, *body, *legend, _place(len(rows), len(every), controls), _bottom(controls)][:height]
    for line in lines:
        line.truncate(width, overflow="crop")
    return lines


# ---- the head ----


def _head(
    seen: Follower, rows: Sequence[Row], times: Mapping[str, float], output: str | None, width: int
) -> list[Text]:
    state, gaps = state_of(follower(seen.status)), sum(row.gaps for row in rows)
    first = Text("livermore  ").append(harmless(state), STATES.get(state, "bold yellow"))
    names = {name: f"{harmless(name)} " if len(times) > 1 else "" for name in times}
    first.append("".join(f"  {names[name]}{iso(moment)}" for name, moment in times.items()))
    first.append(f"  {_several(len(rows), 'symbol')}  ")
    first.append(_several(gaps, "gap"), "bold yellow" if gaps else "")
    warnings = [
        (seen.complaint(), "bold red"),
        (_reasons(seen.status or {}), "yellow"),
        *((line, "yellow") for line in absent(seen.table, output)),
    ]
    return [first, *(Text(line, style) for said, style in warnings for line in wrap(harmless(said), width)[:LONGEST])]


def _reasons(status: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {reason}" for name, reason in status.get("reasons", {}).items())


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# ---- the rows ----


def _body(
    rows: Sequence[Row], shown: slice, seen: Follower, controls: Controls, output: str | None, width: int
) -> list[Text]:
    """The headings and the rows shown. All rows tell how wide a column is, so that scrolling moves nothing."""
    columns = columns_of(seen.table.timeframes)
    headings = {column: _heading(column, controls) for column in columns}
    cells = [{column: cell(row, column, output) for column in columns} for row in rows]
    widths = {column: max(len(line[column].text) for line in (headings, *cells)) for column in columns}
    fitted = fitting(columns, widths, width)
    return [_line({column: line[column] for column in fitted}, widths) for line in (headings, *cells[shown])]


def _heading(column: str, controls: Controls) -> Cell:
    # Where a cell ends in a sign, the heading stands over the number.
    return Cell(
        f"{column}{'*' if column == controls.sort else ' '}", "bold underline" if column == controls.sort else "bold"
    )


def _line(cells: dict[str, Cell], widths: dict[str, int]) -> Text:
    line = Text()
    for column, each in cells.items():
        width = widths[column]
        text = each.text.ljust(width) if column == LEFT_ALIGNED else each.text.rjust(width)
        line.append(" " * BETWEEN if line else "").append(text, each.style)
    return line


# ---- the foot ----


def _legend(rows: Sequence[Row], width: int) -> list[Text]:
    """What the signs mean, on as many lines as it takes; nothing where no stage is known."""
    if not any(stage_of(value) for row in rows for value in row.values.values()):
        return []
    lines = [Text()]
    for stage, sign in STAGES.items():
        entry = Text(f"{sign.text} {stage}", sign.style)
        if len(lines[-1]) + len(entry) + BETWEEN > width and lines[-1]:
            lines.append(Text())
        lines[-1].append(" " * BETWEEN if lines[-1] else "").append_text(entry)
    return lines


def _place(matching: int, every: int, controls: Controls) -> Text:
    """Which rows these are, and why."""
    last = min(matching, controls.top + controls.page)
    said = f"rows {controls.top + 1 if matching else 0}-{last} of {matching}, by {controls.sort}"
    said += ", falling" if controls.falls else ", rising"
    if controls.filter or controls.is_typing:
        said += f", filter {controls.filter!r}: {matching} of {every}"
    return Text(said, "dim")


def _bottom(controls: Controls) -> Text:
    if controls.is_typing:
        return Text(f"/{controls.filter}_", "bold")
    return Text("any key: back to the table" if controls.is_helping else KEYS, "dim")


def _help() -> list[Text]:
    return [Text(f"{keys:<15} {meaning}") for keys, meaning in HELP]
