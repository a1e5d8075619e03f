"""The walls of the house: layers import downward only, plugins use the front door, truth is computed apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import livermore_core

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "livermore_core"
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("livermore-*/livermore_*") if path.is_dir())

# A layer may import itself and what stands to its right.
LAYERS = [
    {"cli", "__main__"},
    {"app"},
    {"consumer"},
    {"plugins", "services", "config", "conformance", "context", "status", "vitals", "soundness", "starts", "loading"},
    {"log"},
    {"hooks"},
    {"exchange", "indicators", "store", "bus"},
    {"market"},
    {"errors", "version", "contributions", "masking"},
]


def imports(path: Path, *, typing_too: bool = True) -> Iterator[str]:
    """Every module that a file imports, annotation-only imports included or not."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if not typing_too and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(inner for part in node.body for inner in ast.walk(part))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def layer_of(module: str) -> int | None:
    part = module.split(".")[1] if module.startswith("livermore_core.") else None
    return next((position for position, layer in enumerate(LAYERS) if part in layer), None)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_layers_import_downward_only(path: Path) -> None:
    module = "livermore_core." + str(path.relative_to(CORE).with_suffix("")).replace("/", ".")
    own = layer_of(module)
    if own is None or "testing" in module:
        return
    upward = {
        name
        for name in imports(path, typing_too=False)
        if name.startswith("livermore_core.") and (other := layer_of(name)) is not None and other < own
    }
    assert upward == set()
    assert not any(name.startswith("livermore_core.testing") for name in imports(path))


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_imports_no_exchange_no_redis_no_http_client(path: Path) -> None:
    foreign = {"aiohttp", "redis", "httpx", "requests", "websockets", "jwt"}
    names = {name.split(".")[0] for name in imports(path)}
    assert not names & foreign
    assert not {name for name in names if name.startswith("livermore_") and name != "livermore_core"}


@pytest.mark.parametrize(
    "path", [file for plugin in PLUGINS for file in sorted(plugin.rglob("*.py"))], ids=lambda path: path.name
)
def test_plugins_enter_by_the_front_door(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[1]
    allowed = {"livermore_simulator": {"livermore_coinbase", "livermore_indicators"}}.get(own, set())
    side_entrances = {
        name
        for name in imports(path)
        if name.startswith("livermore_core.")
        and not name.startswith("livermore_core.testing")
        and name.removeprefix("livermore_core.") not in livermore_core.__all__
    }
    assert side_entrances == set()
    others = {name.split(".")[0] for name in imports(path) if name.startswith("livermore_")}
    assert others <= {own, "livermore_core"} | allowed


def test_truth_is_computed_without_the_market_it_judges() -> None:
    for path in (ROOT / "plugins/livermore-simulator/livermore_simulator").rglob("*.py"):
        names = {"Candle", "Trade", "Intervals", "same", "width", "Budget"}
        used = {name.removeprefix("livermore_core.") for name in imports(path) if name.startswith("livermore_core.")}
        assert not used & names, path.name
        assert not any(name.startswith("market") for name in used), path.name


@pytest.mark.parametrize(
    "path",
    [*sorted(CORE.rglob("*.py")), *(file for plugin in PLUGINS for file in sorted(plugin.rglob("*.py")))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_file_says_its_one_reason_in_its_first_line(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "no docstring"
    assert len(docstring.splitlines()[0]) > 10


def test_except_exception_stands_at_the_five_boundaries_only() -> None:
    places = [
        path.relative_to(CORE).name
        for path in sorted(CORE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    # Loading, opening, stage and service; and what an indicator's author wrote: its constructor and its `dump`.
    assert set(places) <= {"plugins.py", "app.py", "services.py", "__init__.py", "indicators.py", "host.py"}
    assert len(places) <= 7


def test_the_front_door_is_sorted_complete_and_opens() -> None:
    assert livermore_core.__all__ == sorted(livermore_core.__all__)
    for name in livermore_core.__all__:
        assert getattr(livermore_core, name) is not None


def test_only_signing_files_and_what_is_shown_read_the_wall_clock_T01_T02() -> None:
    """A step of it can neither close a candle nor let a time-out pass: nothing that decides so ever looks at it."""
    wall = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
    readers = {
        str(path.relative_to(ROOT))
        for path in [*CORE.rglob("*.py"), *(ROOT / "plugins/livermore-coinbase/livermore_coinbase").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in wall
    }
    assert readers == {
        "livermore_core/cli/doctor.py",  # compares it with the exchange's
        "livermore_core/cli/importing.py",  # a file from elsewhere speaks of what is past only
        "livermore_core/cli/status.py",  # the age of a row of another process
        "livermore_core/status.py",
        "livermore_core/store/lock.py",
        "livermore_core/store/sqlite_file.py",
        "livermore_core/starts.py",  # how long ago other processes were started
        "livermore_core/vitals.py",  # says that it was set
        "plugins/livermore-coinbase/livermore_coinbase/auth.py",
    }
