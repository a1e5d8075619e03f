"""`livermore config`: what is in force, what may be set, and a commented file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from livermore_core.cli.output import config_option, show
from livermore_core.errors import ConfigurationError
from livermore_core.loading import settings_of, tolerant_plugins


@click.group(epilog="Example: livermore config show")
def config() -> None:
    """Show, describe or write the configuration."""


@config.command("show", epilog="Example: livermore config show --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def show_config(as_json: bool, file: Path | None) -> None:
    """Every setting in force, with where it came from; secrets are masked."""
    from livermore_core.config import effective

    _, settings = settings_of(file)
    show(effective(settings), ("key", "value", "origin"), "json" if as_json else "table")


@config.command("describe", epilog="Example: livermore config describe")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def describe_config(as_json: bool) -> None:
    """Every key that may be set: its type, its default and what it means."""
    from livermore_core.config import describe

    show(describe(tolerant_plugins()), ("key", "type", "default", "meaning"), "json" if as_json else "table")


@config.command("init", epilog="Example: livermore config init")
@click.argument("path", type=click.Path(path_type=Path), default=Path("livermore.toml"))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init_config(path: Path, force: bool) -> None:
    """Write a commented configuration file (livermore.toml) in which nothing is active."""
    from livermore_core.config import sample

    text = sample(tolerant_plugins())
    try:
        with path.open("w" if force else "x") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists; --force overwrites it") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    click.echo(f"wrote {path}")
