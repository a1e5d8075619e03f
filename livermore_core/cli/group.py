"""The group of commands: ours by name, those of plugins when asked for; and what an error looks like."""

from __future__ import annotations

import errno
import os
from typing import Any

import click

from livermore_core.cli.stdout import StdoutError, forget, guarded
from livermore_core.errors import ExitCode, LivermoreError
from livermore_core.version import __version__

# Name, module, summary; the summaries are here so that --help imports none of them.
COMMANDS = {
    "start": ("start", "backfill, indicators, then live until a signal"),
    "backfill": ("start", "fill what is missing and exit"),
    "stages": ("stages", "the three stages and who runs in them"),
    "plugins": ("plugins", "every plugin found, and what became of it"),
    "config": ("config", "show, describe or write the configuration"),
    "candles": ("candles", "stored closed candles of a series"),
    "indicators": ("indicators", "latest indicator values of a symbol, or what is installed"),
    "events": ("events", "what is announced: the event log, followed or read"),
    "check": ("check", "hold an installed plugin against what it promises"),
    "gaps": ("gaps", "what is unknown, and when it is asked for"),
    "watch": ("watch", "the market in a live table"),
    "verify": ("verify", "compare the store with the exchange"),
    "copy": ("copy", "one store into another, of whatever kind"),
    "import": ("importing", "candle history of a CSV file into the store"),
    "status": ("status", "what the running process says of itself"),
    "doctor": ("doctor", "what is wrong here, and what to do about it"),
}

EPILOG = """\b
Examples:
  livermore start --symbol BTC-USD --symbol ETH-USD
  livermore candles BTC-USD 5m --limit 10
  livermore stages --list
"""


class Commands(click.Group):
    """Knows every command by name and loads one when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*COMMANDS, *_contributed()]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            from importlib import import_module
            from keyword import iskeyword

            module, _ = COMMANDS[name]
            attribute = f"{name}_" if iskeyword(name) else name
            found: click.Command = getattr(import_module(f"livermore_core.cli.{module}"), attribute)
            return found
        contributed = _contributed().get(name)
        if contributed is None:
            return None
        plugins, command = contributed
        loaded: click.Command = plugins.code("register_commands", name, command.reference)
        return loaded

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
        contributed = _contributed()
        if contributed:
            with formatter.section("Commands of plugins"):
                rows = [
                    (name, f"{command.summary} ({plugins.owner('register_commands', name).name})")
                    for name, (plugins, command) in contributed.items()
                ]
                formatter.write_dl(rows)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(context, name) is None:
            from livermore_core.errors import near

            context.fail(f"unknown command {name!r}{near(name, self.list_commands(context))}")
        return super().resolve_command(context, args)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="livermore", message="%(prog)s %(version)s")
def livermore() -> None:
    """Keep a true picture of crypto markets, and compute indicators on it, live."""


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code, and says what went wrong in a line."""
    from livermore_core.masking import harmless
    from livermore_core.plugins import blamed

    try:
        with blamed("internal error (LIVERMORE_TRACE=1 shows the traceback)"), guarded():
            return _answer(arguments)
    except LivermoreError as error:
        if os.environ.get("LIVERMORE_TRACE"):
            import traceback

            traceback.print_exc()
        for line in str(error).splitlines():
            click.echo(f"livermore: {harmless(line)}", err=True)
        return error.exit_code


def _answer(arguments: list[str]) -> int:
    try:
        result = livermore.main(arguments, prog_name="livermore", standalone_mode=False)
        print(end="", flush=True)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except SystemExit:  # click's answer to a reader that left, as `head` does
        forget()
        return ExitCode.OK
    except StdoutError as error:
        forget()
        if error.errno == errno.EPIPE:
            return ExitCode.OK
        click.echo(f"livermore: stdout cannot be written: {error.strerror}", err=True)
        return ExitCode.STORE


def _contributed() -> dict[str, tuple[Any, Any]]:
    """The commands of plugins, by name; none may take the name of one of ours."""
    from livermore_core.loading import tolerant_plugins

    plugins = tolerant_plugins()
    return {name: (plugins, command) for name, command in plugins.commands.items() if name not in COMMANDS}
