"""The documentation is held against the code: signatures, events, settings, commands, exit codes."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from livermore_core import Batch, Candle, Event, ExitCode, IndicatorValue, Series, SeriesChange, hooks, plugins
from livermore_core.cli.group import COMMANDS, livermore
from livermore_core.config.describing import describe
from livermore_core.market.events import COMMITTED, OPEN, PREVIEW
from livermore_core.store.sqlite import open_store

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = [*(ROOT / "livermore_core").rglob("*.py"), *(ROOT / "plugins").glob("livermore-*/livermore_*/*.py")]
HOOKS = {name: spec for name, spec in vars(hooks).items() if hasattr(spec, "livermore_spec")}


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_with_its_exact_signature(name: str) -> None:
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"### `{name}{signature}`" in page("plugins")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_used_by_a_plugin_that_is_shipped(name: str) -> None:
    used = {hook for plugin in plugins.load().found for hook in plugin.hooks}
    assert name in used


def test_every_event_in_the_table_of_operations_is_one_that_is_said() -> None:
    code = "\n".join(path.read_text() for path in SOURCES)
    table = page("operations").partition("| event | fields |")[2].partition("\n\n")[0]
    events = {event for row in table.splitlines() for event in re.findall(r"`([a-z]+\.[a-z_]+|ready|stopping)`", row)}
    assert len(events) > 20
    assert {event for event in events if f'"{event}"' not in code} == set()


def test_every_kind_of_event_is_in_the_page_about_data() -> None:
    text = page("data")
    assert {kind for kind in {*COMMITTED, OPEN, PREVIEW} if f"`{kind}`" not in text} == set()


def test_every_setting_is_in_the_page_about_operations() -> None:
    text = page("operations").partition("| key | meaning |")[2].partition("\n\n")[0]
    keys = {row["key"].rpartition(".")[2] for row in describe(plugins.load())}
    assert {key for key in keys if not re.search(rf"[`.]{re.escape(key)}`", text)} == set()


def test_every_exit_code_is_in_the_page_about_the_lifecycle() -> None:
    text = page("lifecycle")
    assert {code for code in ExitCode if f"| {int(code)} |" not in text} == set()


def test_every_command_is_named_in_the_readme_and_every_command_shown_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {name for name in COMMANDS if f"`{name}`" not in readme} == set()
    known = {*COMMANDS, "simulate", "demo"}
    for text in PAGES:
        for line in re.findall(r"^    livermore (.+)$", text.read_text(), flags=re.MULTILINE):
            name, *rest = line.split()
            assert name in known, f"{text.name}: {line}"
            options = [option for option in rest if option.startswith("--")]
            shown = CliRunner().invoke(livermore, [name, "--help"]).output
            assert [option for option in options if option not in shown] == [], f"{text.name}: {line}"


def test_only_distributions_of_this_repository_are_told_to_be_installed_SP09() -> None:
    projects = [ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")]
    ours = {tomllib.loads(path.read_text())["project"]["name"] for path in projects}
    told = {
        name
        for path in [*PAGES, *(ROOT / "plugins").glob("*/README.md"), *SOURCES]
        for name in re.findall(r"pip install '?([\w-]+)", path.read_text())
    }
    assert told - ours == set()
    assert "livermore" in told


def test_who_finds_a_hole_is_told_where_to_go_and_how_soon_somebody_answers_SP10() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert all(word in text for word in ("Report a vulnerability", "days", "Supported versions", "docs/security.md"))


def test_what_a_plugin_may_do_is_said_plainly_SP05() -> None:
    assert "no sandbox" in page("plugins")


def test_links_between_pages_lead_somewhere() -> None:
    for text in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", text.read_text()):
            assert (text.parent / target).exists(), f"{text.name}: {target}"


async def fill(url: str) -> None:
    """A store with a candle and a value."""
    series = Series("coinbase", "BTC-USD", "5m")
    row = Candle(1_704_067_200, 10.0, 12.0, 9.0, 11.25, 1.5)
    value = IndicatorValue(indicator="macd-v", time=row.time, outputs={"macd_v": 12.5})
    event = Event(kind="candle.closed", time=row.time, candle=row, **series._asdict())
    async with open_store(url) as store:
        change = SeriesChange(series=series, rows=[row], values=[value], covered=[(row.time, row.time + 300)])
        await store.transact(Batch(changes=[change], events=[event]))


def test_the_programs_shown_to_consumers_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    asyncio.run(fill("sqlite:///livermore.sqlite"))
    programs = re.findall(r"^    import .+\n(?:(?:    .*)?\n)+", page("consumers"), flags=re.MULTILINE)

    def printed(program: str) -> list[str]:
        exec(textwrap.dedent(program), {})
        return capsys.readouterr().out.splitlines()

    asking, following, plain = programs
    assert [line.split()[0] for line in printed(asking)] == ["11.25", "macd-v"]
    assert [line.split()[:2] for line in printed(following)] == [["snapshot", "BTC-USD"]]
    assert printed(following) == [], "it goes on from its cursor"
    assert [line.split()[0] for line in printed(plain)] == ["[11.25]", "snapshot"]
