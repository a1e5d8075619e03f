"""`livermore check`: an installed plugin held against what it promises; exit 1 where a promise is not kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core.cli.output import config_option, show
from livermore_core.errors import ExitCode, LivermoreError
from livermore_core.loading import tolerant_plugins

if TYPE_CHECKING:
    from livermore_core.conformance.indicator import Finding
    from livermore_core.indicators.indicator import Indicator
    from livermore_core.market.candle import Candle

COLUMNS = ("check", "result", "detail")
# Seconds before a person is told that it goes on.
PATIENCE = 1.0
LARGEST_SEED = 2**32
EPILOG = """\b
Examples:
  livermore check indicator macd-v
  livermore check indicator ema --param length=200 --data candles.csv --json
"""
INDICATOR_EPILOG = f"""{EPILOG}
\b
A file of candles to check with:
  livermore candles BTC-USD 5m --limit 2000 --format csv > candles.csv

Exit: 0 every promise is kept, 1 one is not, 2 wrong input, 78 the plugin does not load.
"""


@click.group(epilog=EPILOG)
def check() -> None:
    """Hold an installed plugin against what it promises."""


@check.command("indicator", epilog=INDICATOR_EPILOG)
@click.argument("name")
@click.option("--param", "typed", multiple=True, metavar="NAME=VALUE", help="A parameter of it (repeatable).")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE", help="Candles to check with: csv, json, jsonl."
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=1,
    show_default=True,
    help="Of the market that is made up where no file is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def check_indicator(
    name: str, typed: tuple[str, ...], data: Path | None, seed: int, as_json: bool, file: Path | None
) -> int:
    """Check the indicator NAME, of whichever plugin.

    It gives finite values; the same live, at once, replayed, copied, dumped and loaded; none that depends on later
    candles; previews leave no trace; it settles as soon as it declares; tiny, huge and flat prices do no harm.
    """
    make = _maker(name, typed, file)
    rows = _candles(make, data, seed)
    found = _examined(make, rows)
    show([each._asdict() for each in found], COLUMNS, "json" if as_json else "table")
    failed = [each.check for each in found if each.result == "fail"]
    if not as_json:
        click.echo(f"{name} fails: {', '.join(failed)}" if failed else f"{name} passes: {len(found)} checks")
    return ExitCode.ANSWER_IS_NO if failed else ExitCode.OK


def _maker(name: str, typed: Sequence[str], file: Path | None) -> Callable[[], Indicator]:
    """What makes the indicator with the parameters that were typed."""
    from functools import partial

    from livermore_core.cli.indicator_types import code_of, tell_broken
    from livermore_core.cli.parameters import given_of

    plugins = tolerant_plugins(file)
    tell_broken(plugins)
    code = code_of(plugins, name)
    given = given_of(code.parameters, typed)
    if given:
        _try_out(name, partial(code.make, **given))
    return partial(code.make, **given)


def _try_out(name: str, make: Callable[[], Any]) -> None:
    """What the constructor refuses of what the user gave is a slip of the user."""
    from livermore_core.masking import harmless
    from livermore_core.plugins import blamed

    try:
        with blamed(name):
            make()
    except LivermoreError as error:
        reason = " ".join(harmless(str(error.__cause__ or error)).split())
        raise click.BadParameter(f"{name}: {reason or error}", param_hint="'--param'") from None


def _candles(make: Callable[[], Any], data: Path | None, seed: int) -> Sequence[Candle]:
    """Those of the file, or a market that is made up; enough for what the indicator declares, where it does."""
    from livermore_core.conformance.indicator import declared
    from livermore_core.conformance.series import market
    from livermore_core.conformance.settling import fewest, length

    settle = declared(make)
    if data is None:
        return market(length(settle), seed)
    from livermore_core.cli.candle_file import read_candles

    rows = read_candles(data)
    if len(rows) < fewest(settle):
        raise click.UsageError(
            f"{data}: {len(rows)} candles; with a settle of {settle} it takes {fewest(settle)} or more to check"
        )
    return rows


def _examined(make: Callable[[], Any], rows: Sequence[Candle]) -> list[Finding]:
    from livermore_core.conformance.indicator import examine

    progress = _Progress()
    found = list(examine(make, rows, progress.tell))
    progress.clear()
    return found


class _Progress:
    """One line on a terminal that says where it is, once it has taken longer than a second."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._is_shown = False

    def tell(self, text: str) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._begun > PATIENCE:
            self._is_shown = True
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)

    def clear(self) -> None:
        if self._is_shown:
            click.echo("\r\x1b[K", err=True, nl=False)
