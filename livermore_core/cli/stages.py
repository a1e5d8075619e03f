"""`livermore stages`: the three stages in order, and who runs in each."""

from __future__ import annotations

from pathlib import Path

import click

from livermore_core.cli.output import config_option, show
from livermore_core.config import choose, plugin_table
from livermore_core.loading import tolerant_plugins
from livermore_core.plugins import stage_table


@click.command(epilog="Example: livermore stages --list --json")
@click.option("--list", "listing", is_flag=True, help="List stages and plugins (this is what the command does).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def stages(listing: bool, as_json: bool, file: Path | None) -> None:
    """Show each stage in order with its plugins: ok, idle, disabled, or broken with the cause."""
    plugins, table = tolerant_plugins(file), plugin_table(file)
    if table.problem:
        click.echo(f"livermore: {table.problem}", err=True)
    rows = stage_table(plugins, choose((), table.with_symbols, plugins.exchanges))
    columns = ("stage", "order", "plugin", "distribution", "version", "state", "cause")
    show(rows, columns, "json" if as_json else "table")
