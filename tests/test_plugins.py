"""The loader against really installed (fake) distributions: one that breaks is named, the others work."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from livermore_core import STAGES, PluginError, hookimpl
from livermore_core.plugins import Plugins, load, stage_table

DISTRIBUTIONS = Path(__file__).resolve().parent / "data" / "distributions"
OFFER = """
from livermore_core import Exchange, hookimpl

@hookimpl
def register_exchanges():
    yield Exchange("good", "an exchange", ("1m",), 100, 5.0, "{reference}")
"""
BAD = {
    "argument": ("@hookimpl\nasync def ingest(contexts): pass", "no argument 'contexts'"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "generator": ("@hookimpl\nasync def ingest(context): yield", "`async def`"),
    "near": ("@hookimpl\ndef register_exchange(): yield 1", "did you mean 'register_exchanges'?"),
    "raises": ("@hookimpl\ndef register_stores(): raise KeyError('x')", "KeyError: 'x'"),
    "syntax": ("def", "SyntaxError"),
    "twice": (
        "from livermore_core import Store\n@hookimpl\ndef register_stores(): yield from [Store('a', '', 'b:c')] * 2",
        "yields 'a' twice",
    ),
    "value": ("@hookimpl\ndef register_stores(): yield 'sqlite'", "must yield Store, yielded 'sqlite'"),
}
SHIPPED = {
    "import-error": "No module named 'a_module_that_is_not_there'",
    "misspelt-hook": "unknown hook 'backfil', did you mean 'backfill'?",
    "sync-stage": "hook 'ingest' must be `async def`",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    use(monkeypatch, "good")
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.syspath_prepend(str(DISTRIBUTIONS / name.replace("-", "_")))
        monkeypatch.delitem(sys.modules, f"livermore_fake_{name.replace('-', '_')}", raising=False)


def install(site: Path, name: str, source: str, entry: str | None = None) -> None:
    """A distribution `livermore-<name>` 1.2 with one module and one entry point."""
    module = f"fake_livermore_{name}"
    (site / f"{module}.py").write_text(source)
    info = site / f"livermore_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: livermore-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[livermore]\n{entry or name} = {module}\n")
    sys.modules.pop(module, None)


def names(plugins: Plugins, state: str) -> set[str]:
    return {plugin.name for plugin in plugins.found if plugin.state == state}


def assert_broken(name: str, distribution: str, cause: str) -> None:
    plugins = load(only=["good", name])
    broken = next(plugin for plugin in plugins.found if plugin.name == name)
    assert (broken.state, broken.source) == ("broken", f"{distribution} 1.2")
    assert cause in broken.cause
    assert "\n" not in broken.cause
    assert list(plugins.exchanges) == ["good"]
    assert [plugin.name for plugin, _, _ in plugins.stage("backfill")] == ["good"]
    assert plugins.stage("ingest") == []


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_broken_plugin_is_named_with_its_cause_and_the_rest_works_P08(site: Path, name: str) -> None:
    source, cause = BAD[name]
    install(site, name, f"from livermore_core import hookimpl\n{source}")
    assert_broken(name, f"livermore-{name}", cause)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_an_installed_broken_plugin_is_named_with_its_cause_P08(
    site: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    use(monkeypatch, name)
    assert_broken(name, f"livermore-{name}", SHIPPED[name])


def test_two_plugins_of_one_exchange_are_refused_and_both_named_P17_SP03(site: Path) -> None:
    install(site, "twin", OFFER)
    with pytest.raises(PluginError, match=r"'good' is offered by livermore-good 1\.2 and by livermore-twin 1\.2"):
        load(only=["good", "twin"])
    plugins = load(only=["good", "twin"], tolerant=True)
    assert (names(plugins, "broken"), list(plugins.exchanges)) == ({"twin"}, ["good"])
    assert len(plugins.conflicts) == 1


def test_two_plugins_of_one_name_are_refused_and_both_named_P17(site: Path) -> None:
    install(site, "other", OFFER.replace('"good"', '"other"'), entry="good")
    with pytest.raises(PluginError, match=r"'good': of livermore-\w+ 1\.2 and of livermore-\w+ 1\.2"):
        load(only=["good"])
    assert len(load(only=["good"], tolerant=True).stage("backfill")) <= 1


def test_a_plugin_that_is_not_wanted_is_listed_and_not_imported_SP01_SP04(site: Path) -> None:
    for unwanted in (load(only=["good"], disable=["good"]), load(only=["sqlite"])):
        assert "good" in names(unwanted, "disabled")
        assert "livermore_fake_good" not in sys.modules


def test_what_a_plugin_adds_or_changes_after_loading_is_not_heard_SP07(site: Path) -> None:
    plugins = load(only=["good"])
    module = sys.modules["livermore_fake_good"]
    runs, offers = plugins.stage("backfill"), dict(plugins.exchanges)
    for name in (*STAGES, "register_exchanges"):
        setattr(module, name, hookimpl(lambda context: None))
    assert plugins.stage("backfill") == runs
    assert [plugins.stage(stage) for stage in ("indicators", "ingest")] == [[], []]
    assert plugins.exchanges == offers
    with pytest.raises(FrozenInstanceError):
        plugins.exchanges["good"].open = "elsewhere:open"  # type: ignore[misc]


def test_what_a_reference_names_is_loaded_on_demand_and_its_failure_says_whose_it_is(site: Path) -> None:
    plugins = load(only=["good"])
    with pytest.raises(PluginError, match=r"plugin 'good' \(livermore-good 1\.2\): nowhere:x does not load: Module"):
        plugins.code("register_exchanges", "good", "nowhere:x")
    assert plugins.code("register_exchanges", "good", "json:dumps")(1) == "1"


def test_without_any_plugin_the_built_in_store_is_there_through_the_same_door_SP06() -> None:
    plugins = load(only=[])
    assert names(plugins, "ok") == {"sqlite"}
    assert (plugins.owner("register_stores", "sqlite").distribution, list(plugins.stores)) == ("livermore", ["sqlite"])


def test_the_coinbase_plugin_contributes_through_the_same_door() -> None:
    plugins = load(only=["coinbase", "coinbase-backfill", "coinbase-ingest"])
    assert names(plugins, "ok") == {"coinbase", "coinbase-backfill", "coinbase-ingest", "sqlite"}
    assert plugins.exchanges["coinbase"].page_size == 300
    assert plugins.owner("register_exchanges", "coinbase").distribution == "livermore-coinbase"
    for stage in ("backfill", "ingest"):
        assert [(plugin.name, arguments) for plugin, _, arguments in plugins.stage(stage)] == [
            (f"coinbase-{stage}", ("context",))
        ]


def test_the_stage_table_lists_stages_in_order_then_the_broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, *SHIPPED)
    plugins = load(only=["good", "coinbase", "coinbase-backfill", *SHIPPED])
    rows = stage_table(plugins, followed=["good"])
    assert [(row["stage"], row["order"], row["plugin"], row["state"]) for row in rows] == [
        ("backfill", 1, "coinbase-backfill", "idle"),
        ("backfill", 1, "good", "ok"),
        ("indicators", 2, "indicators", "disabled"),
        ("ingest", 3, "coinbase-ingest", "disabled"),
        ("ingest", 3, "sync-stage", "broken"),
        ("", None, "import-error", "broken"),
        ("", None, "misspelt-hook", "broken"),
    ]
    assert list(rows[0]) == ["stage", "order", "plugin", "distribution", "version", "state", "cause"]
    assert [row["cause"] for row in rows if row["state"] != "broken"] == [""] * 4
    assert {row["state"] for row in stage_table(plugins) if row["stage"] == "backfill"} == {"ok"}


def test_loading_imports_nothing_that_is_slow() -> None:
    program = "import sys; from livermore_core.plugins import load, stage_table; stage_table(load(), [])\n"
    program += "from livermore_core.config import plugin_table; plugin_table()\n"
    program += "print(sorted({'asyncio', 'structlog', 'pydantic', 'click', 'aiohttp', 'msgspec'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
