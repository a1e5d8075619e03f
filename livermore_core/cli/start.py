"""`livermore start` and `livermore backfill`: a run of the app, with a view of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import click

from livermore_core.cli.output import config_option
from livermore_core.hooks import STAGES
from livermore_core.loading import settings_of

Run = Callable[[Mapping[str, Any], Sequence[str]], Awaitable[Any]]

EPILOG = """\b
Examples:
  livermore start
  livermore start --symbol BTC-USD --timeframe 5m --timeframe 1h
  livermore start --until-ready --within 120 --log-format json
"""


class StageList(click.ParamType[tuple[str, ...]]):
    """Stages with commas."""

    name = "a,b"

    def convert(self, value: Any, parameter: Any, context: Any) -> tuple[str, ...]:
        stages = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        for stage in stages:
            if stage not in STAGES:
                from livermore_core.errors import near

                self.fail(f"unknown stage {stage!r}{near(stage, STAGES)}; known: {', '.join(STAGES)}")
        return stages


class Seconds(click.FloatRange):
    """More than 0 and finite; no comparison keeps `nan` out."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, parameter: Any, context: Any) -> float:
        seconds: float = super().convert(value, parameter, context)
        if not isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds; write e.g. 120")
        return seconds


def run_options(command: Any) -> Any:
    """The options of a run."""
    for option in (
        click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"])),
        click.option("--log-format", type=click.Choice(["console", "json"]), help="JSON where stderr is no terminal."),
        click.option("--timeframe", "timeframes", multiple=True, metavar="T", help="Keep this timeframe (repeatable)."),
        click.option("--symbol", "symbols", multiple=True, metavar="S", help='E.g. BTC-USD, "*-USD", top:10.'),
        click.option("--exchange", "exchanges", multiple=True, metavar="NAME", help="Follow this exchange."),
        click.option("--store", metavar="URL", help="Where candles are kept, e.g. sqlite:///livermore.sqlite."),
        config_option,
    ):
        command = option(command)
    return command


@click.command(epilog=EPILOG)
@run_options
@click.option("--stages", type=StageList(), default=STAGES, help="Run only these stages, with commas.")
@click.option("--until-ready", is_flag=True, help="Exit 0 once everything is ready.")
@click.option("--within", type=Seconds(), help="Exit 69 if not ready in SECONDS.")
def start(stages: tuple[str, ...], until_ready: bool, within: float | None, **options: Any) -> int:
    """Backfill what is missing, warm the indicators, then follow the market live until Ctrl-C."""
    if within is not None and not until_ready:
        raise click.UsageError("--within needs --until-ready: a live run never gives up on an exchange")
    return run_app(stages, until_ready=until_ready, within=within, **options)


@click.command(epilog="Example: livermore backfill --symbol BTC-USD")
@run_options
def backfill(**options: Any) -> int:
    """Fill what is missing of the wanted history, and exit."""
    return run_app(("backfill",), until_ready=True, within=None, standby=False, **options)


def run_app(
    stages: tuple[str, ...],
    *,
    until_ready: bool,
    within: float | None,
    standby: bool = True,
    file: Path | None = None,
    store: str | None = None,
    exchanges: tuple[str, ...] = (),
    symbols: tuple[str, ...] = (),
    timeframes: tuple[str, ...] = (),
    log_format: str | None = None,
    log_level: str | None = None,
) -> int:
    """One run of the app in the foreground; returns its exit code."""
    named = {"log_format": log_format, "log_level": log_level}
    overrides = {key: value for key, value in named.items() if value}
    plugins, settings = settings_of(
        file, store, overrides=overrides, exchanges=exchanges, symbols=symbols, timeframes=timeframes
    )
    from livermore_core import ending, starts

    with starts.remembered(settings.store) as crashes:
        left_out = starts.leave_out(plugins, settings.required) if crashes >= starts.CRASHES else {}
        options = {"stages": stages, "until_ready": until_ready, "within": within, "standby": standby}
        options["left_out"] = left_out
        return int(ending.run_to_end(run_with_view(plugins, settings, options)))


async def run_with_view(plugins: Any, settings: Any, options: dict[str, Any], seconds: float | None = None) -> Any:
    """Run the app with the view that fits where stderr goes; stop it after `seconds`."""
    import asyncio

    from livermore_core import log
    from livermore_core.app import App
    from livermore_core.cli.view import make_view

    view = make_view(settings.log_format)
    # Where the view speaks to a person, the log keeps to what the view does not show.
    log.configure(settings.log_format, "error" if view is not None else settings.log_level)
    app = App(settings, plugins, report=None if view is None else view.report, **options)
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, app.stop, "time is up")
    return await (app.run() if view is None else view.watch(app))


def run_in_foreground(around: Callable[[Run], Awaitable[Any]], *, seconds: float | None = None) -> int:
    """Run the app inside what a plugin's command sets up; returns the exit code.

    `around(run)` awaits `run(overrides, exchanges)` with settings as a tree and the exchanges to follow.
    """

    async def run(overrides: Mapping[str, Any], exchanges: Sequence[str]) -> Any:
        plugins, settings = settings_of(None, None, overrides=dict(overrides), exchanges=exchanges)
        return await run_with_view(plugins, settings, {}, seconds)

    from livermore_core import ending

    async def life() -> Any:
        return await around(run)

    return int(ending.run_to_end(life()))
