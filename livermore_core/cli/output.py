"""How listings look: a plain table, JSON, JSON lines or CSV, on stdout."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from livermore_core.market import timeframe
from livermore_core.masking import harmless

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """`--config`, `--store` and `--json`, as every command that reads has them."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--store", metavar="URL", help="The store to read, e.g. sqlite:////var/lib/livermore.sqlite."),
        config_option,
    ):
        command = option(command)
    return command


def format_option(command: Command) -> Command:
    """`--format`, as every listing of rows has it."""
    kind = click.Choice(["table", "json", "jsonl", "csv"])
    return click.option("--format", type=kind, help="How it is printed.  [default: table]")(command)


def format_of(format: str | None, as_json: bool) -> str:
    """The format that `--format` and `--json` ask for. Raises click.UsageError where they differ."""
    if as_json and format not in (None, "json"):
        raise click.UsageError(f"--json and --format {format} are two formats; leave one out")
    return "json" if as_json else format or "table"


def config_option(command: Command) -> Command:
    """`--config FILE`."""
    kind = click.Path(path_type=Path)
    return click.option("--config", "file", type=kind, metavar="FILE", help="Configuration file.")(command)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], format: str = "table") -> None:
    """Print rows in the asked format; columns that are not in a row are empty."""
    if format == "json":
        click.echo(json.dumps(list(rows), indent=1))
    elif format == "jsonl":
        for row in rows:
            click.echo(json.dumps(row))
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _table(rows, columns)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(text[at]) for text in texts), 0) for at, column in enumerate(columns)]
    click.echo("  ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())
    for text in texts:
        click.echo("  ".join(part.ljust(width) for part, width in zip(text, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return harmless(", ".join(map(str, value)))
    return f"{value:.10g}" if isinstance(value, float) else harmless(str(value))


def outputs_text(outputs: Mapping[str, Any], have: int, need: int) -> str:
    """What an indicator says, on a line, and how far its warm-up is."""
    said = {name: value for name, value in outputs.items() if value is not None}
    texts = [f"{name}={value:.4f}" if isinstance(value, float) else f"{name}={value}" for name, value in said.items()]
    return " ".join([*texts, f"{have}/{need}"] if have < need else texts)


def moment_of(text: str | None) -> int | None:
    """A bound in UNIX seconds, from ISO 8601 (UTC where it does not say) or a number. Raises click.BadParameter."""
    try:
        return None if text is None else timeframe.moment_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
