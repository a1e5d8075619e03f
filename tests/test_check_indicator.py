"""`livermore indicators --list` and `livermore check indicator`: every promise that is broken is found, and named."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from livermore_core import Batch, Candle, Indicator, Series, SeriesChange
from livermore_core.cli import check
from livermore_core.cli.candle_file import read_candles
from livermore_core.cli.group import run
from livermore_core.conformance import promises
from livermore_core.conformance.series import market
from livermore_core.conformance.settling import TOLERANCES
from livermore_core.loading import tolerant_plugins
from livermore_core.store.sqlite import open_store

DISTRIBUTIONS = Path(__file__).resolve().parent / "data" / "distributions"
SERIES = Series("coinbase", "BTC-USD", "1m")
CHECKS = [
    *("declaration", "results", "warm-up", "look-ahead", "replay", "correction", "copy", "dump", "preview"),
    *("settle", "scale", "flat", "few candles"),
]

Printed = Callable[..., tuple[str, str]]
Checked = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, no configuration, and beside the installed plugins one with bad indicators, one broken."""
    for name in [name for name in os.environ if name.startswith("LIVERMORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for name in ("bad_indicators", "import_error"):
        monkeypatch.syspath_prepend(str(DISTRIBUTIONS / name))
        monkeypatch.delitem(sys.modules, f"livermore_fake_{name}", raising=False)
    tolerant_plugins.cache_clear()
    yield tmp_path
    tolerant_plugins.cache_clear()


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Run a command that ends with `code`; what it wrote to stdout and stderr."""

    def call(*arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        got = run(list(arguments))
        told = capsys.readouterr()
        assert got == code, told
        assert "Traceback" not in told.err + told.out
        return told.out, told.err

    return call


@pytest.fixture
def checked(printed: Printed) -> Checked:
    """Check an indicator; the findings by check. It ends with 1 exactly where one fails."""

    def call(name: str, *arguments: str, fails: bool = False) -> dict[str, dict[str, str]]:
        rows = json.loads(printed("check", "indicator", name, "--json", *arguments, code=int(fails))[0])
        assert fails == any(row["result"] == "fail" for row in rows)
        return {row["check"]: row for row in rows}

    return call


def measured(detail: str) -> list[int]:
    """The candles that were measured, at each tolerance."""
    found = [int(number) for number in re.findall(r"1e-\d: (\d+)", detail)]
    assert len(found) == len(TOLERANCES)
    return found


# ---- what is installed ----


def test_the_list_tells_parameters_outputs_warmup_and_settle_without_a_store(printed: Printed) -> None:
    rows = {row["name"]: row for row in json.loads(printed("indicators", "--list", "--json")[0])}
    macd_v = rows["macd-v"]
    assert list(macd_v) == ["name", "plugin", "parameters", "outputs", "warmup", "settle", "summary"]
    assert (macd_v["plugin"], macd_v["warmup"], macd_v["settle"]) == ("indicators", 34, 300)
    assert macd_v["parameters"][0] == {"name": "fast", "type": "int", "default": 12}
    assert macd_v["outputs"][:3] == ["macd_v", "signal", "histogram"]
    assert rows["demanding"]["parameters"][0] == {"name": "length", "type": "int"}
    assert rows["demanding"]["settle"] is None
    table = printed("indicators", "--list")[0]
    assert "length=20" in table
    assert "length (required), offset=0.0" in table
    lines = printed("indicators", "--list", "--format", "jsonl")[0].splitlines()
    assert [json.loads(line) for line in lines] == list(rows.values())
    told = {
        row["name"]: row for row in csv.DictReader(printed("indicators", "--list", "--format", "csv")[0].splitlines())
    }
    assert told["demanding"]["parameters"] == "length (required), offset=0.0, is_open=False"
    assert told["macd-v"]["outputs"].startswith("macd_v, signal, histogram")


def test_what_is_broken_is_named_and_the_rest_listed_P08(printed: Printed) -> None:
    told, said = printed("indicators", "--list")
    lines = said.splitlines()
    assert "plugin 'import-error' (livermore-import-error 1.2) is broken" in lines[0]
    assert "bad_indicators:Absent does not load" in lines[1]
    assert "indicator 'foreign' cannot be made" in lines[2]
    assert "indicator 'refuses' cannot be made: RuntimeError: not today" in lines[3]
    assert not {"absent", "foreign", "refuses"} & {line.split()[0] for line in told.splitlines()}
    assert "macd-v" in told
    assert lines[0] in printed("check", "indicator", "nosettle", code=1)[1]


def test_the_list_takes_no_symbol_and_the_values_need_one(printed: Printed) -> None:
    assert "takes no symbol" in printed("indicators", "BTC-USD", "--list", code=2)[1]
    assert "Missing argument 'SYMBOL'" in printed("indicators", code=2)[1]


# ---- those that are well ----


def test_macd_v_passes_and_settles_where_its_reference_says(printed: Printed) -> None:
    told, _ = printed("check", "indicator", "macd-v")
    lines = told.splitlines()
    assert lines[0].split() == ["check", "result", "detail"]
    assert [line[:13].strip() for line in lines[1:-1]] == CHECKS
    assert lines[-1] == f"macd-v passes: {len(CHECKS)} checks"
    settle = next(line for line in lines if line.startswith("settle"))
    assert "declared 300; measured" in settle
    # 0.01 points takes 137 to 317 candles from start to start, 1e-4 points up to 432; 1 % is sooner where it is large.
    coarse, middle, fine = measured(settle)
    assert 137 <= coarse <= 300
    assert coarse < middle <= 364 < fine <= 500


def test_of_a_sum_without_end_the_changes_settle(printed: Printed) -> None:
    told, _ = printed("check", "indicator", "obv")
    assert "declared 2 of its changes; measured 1e-2: 2, 1e-4: 2, 1e-6: 2" in told
    assert told.splitlines()[-1] == f"obv passes: {len(CHECKS)} checks"


def test_the_settle_of_a_window_is_its_length_and_of_an_average_follows_its_weight(checked: Checked) -> None:
    assert measured(checked("sma", "--param", "length=30")["settle"]["detail"]) == [30, 30, 30]
    found = checked("ema", "--param", "length=50", "--seed", "7")
    assert found["scale"]["detail"] == "value: in proportion to prices"
    _, middle, fine = measured(found["settle"]["detail"])
    # ln(100) / -ln(1 - 2/51) candles, less what chance gives or takes.
    assert 100 <= fine - middle <= 130


# ---- those that are not ----

BAD = {
    "hindsight": ("look-ahead", "candle 1: its value changes with candles after candle"),
    "short": ("settle", "too short; declared 100; measured 1e-2: "),
    "sum": ("settle", "never settles within 800 candles: still "),
    "counts": ("settle", "never settles within 800 candles: still "),
    "undefined": ("results", "candle 40: value is nan"),
    "raises": ("results", "candle 77: update: ZeroDivisionError: float division by zero"),
    "quits": ("results", "candle 1: update: SystemExit"),
    "neverequal": ("results", "candle 1: 2 results for 1 outputs"),
    "peekkeeps": ("preview", "candle 1: peek changes the state"),
    "startled": ("few candles", "candle 1: peek: IndexError"),
    "keepsdict": ("copy", "is not independent"),
    "keepsobject": ("dump", "dump after 0 candles: TypeError: Object of type object is not JSON serializable"),
    "explodes": ("flat", "value explodes: "),
    "absolutethreshold": ("scale", "when prices are multiplied by 1e-08: candle 1 gives 0.0, was 100."),
    "lateresult": ("warm-up", "warmup is 5, but the first full result came with candle 1"),
    "nosettle": ("declaration", "settle must be a whole number of candles >= 1, is 0"),
    "foreign": ("declaration", "Foreign is no Indicator"),
    "refuses": ("declaration", "constructor: RuntimeError: not today"),
}
# What else these cannot but break.
BESIDES = {
    "hindsight": {"replay", "copy", "settle", "scale"},
    "keepsdict": {"replay", "correction", "dump", "preview", "settle"},
    "startled": {"preview"},
}


@pytest.mark.parametrize("name", BAD)
def test_each_fault_is_caught_by_the_check_that_is_meant_for_it(name: str, checked: Checked) -> None:
    meant, words = BAD[name]
    found = checked(name, fails=True)
    assert words in found[meant]["detail"]
    assert {check for check, row in found.items() if row["result"] == "fail"} == {meant} | BESIDES.get(name, set())


class Handle(Indicator):
    """Holds what no text can hold."""

    dumps = False

    def __init__(self) -> None:
        self.handle = object()

    def update(self, candle: Candle) -> float:
        return candle.close


def test_one_that_says_it_is_never_dumped_is_believed() -> None:
    assert promises.dumps(Handle, market(20), [5]) == "never dumped, as it says: its candles are replayed"
    with pytest.raises(TypeError):
        Handle().dump()


# ---- wrong input ----

WRONG = {
    "name": (["macdv"], 2, "unknown indicator, did you mean 'macd-v'?"),
    "parameter": (["ema", "--param", "lenght=3"], 2, "unknown parameter 'lenght', did you mean 'length'?"),
    "type": (["ema", "--param", "length=ten"], 2, "length must be a whole number, is 'ten'"),
    "no value": (["ema", "--param", "length"], 2, "'length': write NAME=VALUE"),
    "twice": (["ema", "--param", "length=1", "--param", "length=2"], 2, "length is given twice"),
    "range": (["ema", "--param", "length=0"], 2, "ema: length must be at least 1, was 0"),
    "other error": (["demanding", "--param", "length=10"], 2, "demanding: 'length must be below 10'"),
    "not finite": (["demanding", "--param", "length=1", "--param", "offset=nan"], 2, "offset must be a finite number"),
    "boolean": (["demanding", "--param", "length=1", "--param", "is_open=2"], 2, "is_open must be true or false"),
    "required": (["demanding"], 2, "length has no default: --param length=VALUE"),
    "seed": (["ema", "--seed", "-1"], 2, "-1"),
    "no file": (["ema", "--data", "none.csv"], 2, "none.csv: No such file"),
    "kind": (["ema", "--kind", "x"], 2, "--kind"),
    "does not load": (["absent"], 78, "plugin 'bad-indicators' (livermore-bad-indicators 1.2): livermore_fake_bad"),
    "broken": (["import-error"], 78, "plugin 'import-error' (livermore-import-error 1.2) is broken"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named_V1_C10(case: str, printed: Printed) -> None:
    arguments, code, words = WRONG[case]
    told, said = printed("check", "indicator", *arguments, code=code)
    assert words in said
    assert told == ""


def test_parameters_arrive_as_what_they_are_declared(checked: Checked) -> None:
    found = checked("demanding", "--param", "length=3", "--param", "offset=1", "--param", "is_open=True")
    assert found["declaration"]["result"] == "ok"


# ---- candles of a file ----


@pytest.fixture
async def store(tmp_path: Path) -> str:
    """A store with 500 candles."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    rows = market(500)
    known = [(rows[0].time, rows[-1].time + 60)]
    async with open_store(url) as opened:
        await opened.transact(Batch(changes=[SeriesChange(series=SERIES, rows=rows, covered=known)]))
    return url


async def test_it_reads_what_candles_prints_in_every_format(store: str, printed: Printed, elsewhere: Path) -> None:
    asked = ("candles", "BTC-USD", "1m", "--limit", "1000", "--store", store, "--format")
    for format in ("csv", "json", "jsonl"):
        (elsewhere / format).write_text((await asyncio.to_thread(printed, *asked, format))[0])
        assert read_candles(elsewhere / format) == market(500)
    told, _ = printed("check", "indicator", "sma", "--data", "csv")
    assert "results      ok      500 candles" in told


HEADER = "time,open,high,low,close,volume,revision,source\n"
GOOD = "2024-01-01T00:00:00Z,1,2,1,2,5,0,rest\n"
OBJECT = {"time": "2024-01-01T00:00:00Z", "open": 1, "high": 2, "low": 1, "close": 2, "volume": 5}
FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "rows: there is no candle in it"),
    "header alone": (HEADER, "rows: there is no candle in it"),
    "no header": (GOOD + GOOD, "rows:1: the header lacks time, open, high, low, close, volume; it is '2024"),
    "misnamed": (
        HEADER.replace("close", "closes") + GOOD,
        "rows:1: the header lacks close; it is 'time, open, high, low, closes, ",
    ),
    "short line": (HEADER + GOOD + "2024-01-01T00:01:00Z,1,2\n", "rows:3: there is no low"),
    "time": (HEADER + GOOD.replace("2024-01-01", "yesterday"), "rows:2: 'yesterdayT00:00:00Z' is no time"),
    "order": (HEADER + GOOD + GOOD, "rows:3: time 2024-01-01T00:00:00Z is not after the candle before it"),
    "number": (HEADER + GOOD.replace(",5,", ",much,"), "rows:2: volume is no number: 'much'"),
    "no candle": (HEADER + GOOD.replace("Z,1,2", "Z,3,2"), "rows:2: no candle: 3.0, 2.0, 1.0, 2.0"),
    "nan": (HEADER + GOOD.replace(",5,", ",nan,"), "rows:2: no candle: "),
    "too few": (HEADER + GOOD, "rows: 1 candles; with a settle of 20 it takes 110 or more to check"),
    "torn json": ("[\n {\n  1}\n]", "rows:3: no JSON: "),
    "no object": (json.dumps([OBJECT, 3], indent=1), "rows:10: no candle but 3"),
    "second line": (f"{json.dumps(OBJECT)}\n{{}}\n", "rows:2: there is no time"),
    "null": (json.dumps(OBJECT | {"low": None}), "rows:1: there is no low"),
    "list": (json.dumps(OBJECT | {"low": [1]}), "rows:1: low is no number: [1]"),
    "huge": (json.dumps(OBJECT | {"volume": 10**400}), "rows:1: int too large"),
    "deep": ("[" + '{"a":' * 100_000, "rows:1: no JSON: "),
    "binary": (b"\xff\xfe\x00", "rows: 'utf-8' codec can't decode"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_is_wrong_with_a_file_is_told_with_its_line(case: str, printed: Printed, elsewhere: Path) -> None:
    content, words = FILES[case]
    (elsewhere / "rows").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in printed("check", "indicator", "sma", "--data", "rows", code=2)[1]


# ---- a person who waits ----


def test_a_terminal_is_told_how_far_it_is(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PATIENCE", -1.0)
    assert "results: candle" not in printed("check", "indicator", "raises", code=1)[1]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told, said = printed("check", "indicator", "keepsobject", code=1)
    assert "results: candle 101 of 1600" in said
    assert "settle: start 3 of " in said
    assert "settle: start" not in told
    assert told.splitlines()[-1] == "keepsobject fails: dump"
