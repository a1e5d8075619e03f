"""The loader against really installed (fake) distributions: one that breaks is named, the others work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livermore_core import PluginError
from livermore_core.plugins import Plugins, load

GOOD = """
from livermore_core.contributions import Exchange, Store
from livermore_core.hooks import hookimpl

@hookimpl
def register_exchanges():
    yield Exchange("moon", "an exchange", ("1m",), 100, 5.0, "moon:open")

@hookimpl
async def backfill(context):
    pass
"""
BAD = {
    "import_error": ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
    "misspelt": (
        "from livermore_core.hooks import hookimpl\n@hookimpl\ndef register_exchange(): yield 1",
        "unknown hook 'register_exchange', did you mean 'register_exchanges'?",
    ),
    "synchronous": ("from livermore_core.hooks import hookimpl\n@hookimpl\ndef ingest(context): pass", "`async def`"),
    "argument": (
        "from livermore_core.hooks import hookimpl\n@hookimpl\nasync def ingest(contexts): pass",
        "no argument 'contexts'",
    ),
    "value": (
        "from livermore_core.hooks import hookimpl\n@hookimpl\ndef register_stores(): yield 'sqlite'",
        "must yield Store, yielded 'sqlite'",
    ),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, source: str) -> None:
    """A distribution `livermore-<name>` 1.2 with one module and one entry point."""
    module = f"fake_livermore_{name}"
    (site / f"{module}.py").write_text(source)
    info = site / f"livermore_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: livermore-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[livermore]\n{name} = {module}\n")
    sys.modules.pop(module, None)


def names(plugins: Plugins, state: str) -> set[str]:
    return {plugin.name for plugin in plugins.found if plugin.state == state}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_broken_plugin_is_named_with_its_cause_and_the_rest_works_P08(site: Path, name: str) -> None:
    source, cause = BAD[name]
    install(site, "good", GOOD)
    install(site, name, source)
    plugins = load(only=["good", name])
    broken = next(plugin for plugin in plugins.found if plugin.name == name)
    assert (broken.state, broken.source) == ("broken", f"livermore-{name} 1.2")
    assert cause in broken.cause
    assert list(plugins.exchanges) == ["moon"]
    assert [plugin.name for plugin, _, _ in plugins.stage("backfill")] == ["good"]
    assert plugins.stage("ingest") == []


def test_two_plugins_of_one_exchange_are_refused_and_both_named_P17_SP03(site: Path) -> None:
    install(site, "good", GOOD)
    install(site, "twin", GOOD)
    with pytest.raises(PluginError, match=r"'moon' is offered by livermore-good 1\.2 and by livermore-twin 1\.2"):
        load(only=["good", "twin"])


def test_a_disabled_plugin_is_listed_and_not_imported_SP04(site: Path) -> None:
    install(site, "good", "raise SystemExit('imported')")
    plugins = load(only=["good"], disable=["good"])
    assert "good" in names(plugins, "disabled")
    assert "fake_livermore_good" not in sys.modules


def test_the_coinbase_plugin_contributes_through_the_same_door(site: Path) -> None:
    plugins = load(only=["coinbase", "coinbase-backfill", "coinbase-ingest"])
    assert names(plugins, "ok") == {"coinbase", "coinbase-backfill", "coinbase-ingest"}
    assert plugins.exchanges["coinbase"].page_size == 300
    assert plugins.owner("register_exchanges", "coinbase").distribution == "livermore-coinbase"
    for stage in ("backfill", "ingest"):
        assert [(plugin.name, arguments) for plugin, _, arguments in plugins.stage(stage)] == [
            (f"coinbase-{stage}", ("context",))
        ]
