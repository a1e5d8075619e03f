"""The distributions: wheels that install beside each other, one version, and a package from elsewhere that works."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from livermore_core import __version__, open_reader
from livermore_core.starts import BUNDLED
from livermore_core.testing import Program

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = [ROOT, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
KELTNER = ROOT / "tests" / "data" / "distributions" / "keltner"
BROKEN = [ROOT / "tests" / "data" / "distributions" / name for name in ("import_error", "misspelt_hook")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every distribution installed from its wheel, none of them from the index."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for project in PROJECTS:
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    names = [tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] for project in PROJECTS]
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--disable-pip-version-check",
    ]
    subprocess.run([*install, "--find-links", str(wheels), "--target", str(target), *names], check=True)
    return target


@pytest.fixture(scope="module")
def keltner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but somebody else's package of one file, installed from its wheel."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("keltner")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
    subprocess.run(build, cwd=KELTNER, check=True, capture_output=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    return target


def on_path(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(str(folder) for folder in folders)}


async def answer(*arguments: str, env: dict[str, str], directory: Path) -> str:
    async with Program(*arguments, env=env, directory=str(directory)) as program:
        assert await program.ended() == 0, program.lines
        return "\n".join(program.lines)


async def announced(url: str, kind: str) -> None:
    """Wait for an event of that kind in the log of another process, which cannot wake its readers."""
    async with asyncio.timeout(60), open_reader(url) as store:
        while kind not in {event.kind for _, event in await store.events(limit=100_000)}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def test_all_distributions_have_one_version_and_the_licence() -> None:
    for project in PROJECTS:
        said = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        assert said.get("version", __version__) == __version__, project
        assert said["license"] == "MIT"
        assert (project / "README.md").read_text().startswith("# ")


def test_a_safe_start_knows_every_distribution_of_this_repository_but_the_example() -> None:
    names = {tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] for project in PROJECTS}
    assert names - {"livermore-example"} == BUNDLED


def test_the_extras_of_the_root_never_name_the_example() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"coinbase", "indicators", "redis", "simulator", "talib", "all"} <= extras.keys()
    assert "livermore-example" not in str(extras)


def test_the_core_wheel_holds_the_core_alone(site: Path) -> None:
    record = next(site.glob("livermore-*.dist-info")) / "RECORD"
    folders = {line.split("/")[0] for line in record.read_text().splitlines()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} <= {"livermore_core", "..", "bin"}


async def test_a_broken_package_and_a_misspelt_one_are_named_and_the_rest_works_P08(site: Path, tmp_path: Path) -> None:
    env = on_path(site, *BROKEN)
    rows = json.loads(await answer("stages", "--list", "--json", env=env, directory=tmp_path))
    broken = {row["plugin"]: row for row in rows if row["state"] == "broken"}
    assert broken.keys() == {"import-error", "misspelt-hook"}
    assert "a_module_that_is_not_there" in broken["import-error"]["cause"]
    assert "did you mean 'backfill'?" in broken["misspelt-hook"]["cause"]
    assert {row["distribution"] for row in broken.values()} == {"livermore-import-error", "livermore-misspelt-hook"}
    good = [(row["stage"], row["plugin"]) for row in rows if row["state"] in ("ok", "idle")]
    assert good == [
        ("backfill", "coinbase-backfill"),
        ("backfill", "example"),
        ("indicators", "example"),
        ("indicators", "indicators"),
        ("ingest", "coinbase-ingest"),
        ("ingest", "example"),
    ]
    table = await answer("stages", "--list", env=env, directory=tmp_path)
    assert "import-error" in table
    assert "misspelt-hook" in table


async def test_the_example_runs_in_all_three_stages_from_its_wheel(site: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    env = {
        **on_path(site, *BROKEN),
        "LIVERMORE_INDICATORS": json.dumps(
            {
                "macd-v": {},
                "rate-of-change": {"length": 5},
                "rsi": {"length": 14},
                "rsi-5": {"use": "rsi", "length": 5},
            }
        ),
        "LIVERMORE_EXCHANGES__EXAMPLE__SPEED": "120",
        "LIVERMORE_EXCHANGES__EXAMPLE__SYMBOLS": "SINE-USD,WAVE-USD",
        "LIVERMORE_STORE": url,
    }
    async with Program("start", "--exchange", "example", env=env, directory=str(tmp_path)) as program:
        ready = await program.event("ready")
        await program.event("example.turned")
        await announced(url, "candle.closed")
        assert await program.stop() == 0
    assert {"backfill:example", "indicators:example", "ingest:example"} <= ready["plugins"].keys()
    assert ready["degraded"] == []
    assert {event["plugin"] for event in program.events if event["event"] == "plugin.broken"} == {
        "import-error",
        "misspelt-hook",
    }
    async with open_reader(url) as store:
        series = await store.series()
        assert {each.symbol for each in series} == {"SINE-USD", "WAVE-USD"}
        values = [value for each in series for value in await store.values(each)]
        assert {value.indicator for value in values} == {"macd-v", "rate-of-change", "rsi", "rsi-5"}
        plain = {value.indicator for value in values if isinstance(value.outputs.get("value"), float)}
        assert plain == {"rate-of-change", "rsi", "rsi-5"}


async def test_an_indicator_of_25_lines_is_listed_checked_and_live_with_no_edit_of_the_core(
    site: Path, keltner: Path, tmp_path: Path
) -> None:
    assert len((KELTNER / "keltner_width.py").read_text().splitlines()) <= 25
    url = f"sqlite:///{tmp_path}/store.sqlite"
    env = {
        **on_path(site, keltner),
        "LIVERMORE_INDICATORS": json.dumps({"keltner-width": {}, "wide": {"use": "keltner-width", "multiplier": 3.0}}),
    }
    listed = {
        row["name"]: row
        for row in json.loads(await answer("indicators", "--list", "--json", env=env, directory=tmp_path))
    }
    assert (listed["keltner-width"]["plugin"], listed["keltner-width"]["settle"]) == ("keltner", 230)
    checked = await answer("check", "indicator", "keltner-width", "--param", "length=10", env=env, directory=tmp_path)
    assert checked.splitlines()[-1] == "keltner-width passes: 13 checks"
    async with Program("demo", "--products", "1", "--store", url, env=env, directory=str(tmp_path)) as program:
        await program.event("ready")
        await announced(url, "indicator.value")
        assert await program.stop() == 0
    async with open_reader(url) as store:
        values = [value for series in await store.series() for value in await store.values(series)]
    assert {value.indicator for value in values} == {"keltner-width", "wide"}
    # A minute's history begins with the 4h bucket that is open: shortly after its start there is too little of it.
    assert any(value.have >= value.need for value in values)
    assert all(isinstance(value.outputs["value"], float) for value in values if value.have >= value.need)
