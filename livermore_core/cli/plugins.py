"""`livermore plugins`: every entry point, its distribution, its hooks and its state."""

from __future__ import annotations

from pathlib import Path

import click

from livermore_core.cli.output import config_option, show
from livermore_core.config import plugin_table
from livermore_core.loading import tolerant_plugins


@click.command(epilog="Example: livermore plugins --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def plugins(as_json: bool, file: Path | None) -> None:
    """List every plugin found: name, distribution, version, hooks, state, and the cause where it is broken."""
    problem = plugin_table(file).problem
    if problem:
        click.echo(f"livermore: {problem}", err=True)
    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "hooks": list(plugin.hooks),
            "state": plugin.state,
            "cause": plugin.cause,
        }
        for plugin in tolerant_plugins(file).found
    ]
    show(rows, ("name", "distribution", "version", "hooks", "state", "cause"), "json" if as_json else "table")
