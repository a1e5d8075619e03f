"""docs/faults.md is held against the tests: a row for every fault, and in it exactly the tests that show it."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from livermore_core.testing.faults import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text()
FILES = [*ROOT.rglob("tests/test_*.py"), *(ROOT / "livermore_core" / "testing").glob("*_contract.py")]

# The rows of the reference by letter, those about Redis (D20 and on) left out; rare ones stand where there is a test.
LAST = {"R": 30, "W": 39, "T": 12, "D": 17, "P": 27, "C": 16, "N": 15}
RARE = {"R26", "R27", "R28", "W03", "W33", "T08", "T10", "D02", "D10", "D15", "N12"}
ALL = [f"{letter}{number:02}" for letter, last in LAST.items() for number in range(1, last + 1)]

ROW = re.compile(r"^\| ([A-Z]\d\d) \| (.+) \| (.+) \| (.+) \|$", flags=re.MULTILINE)
CITED = re.compile(r"`(\w+)(?:\[([\w.]+)\])?`")
# `-` needs one of these words beside it.
WHY = ("not built", "no such thing", "cannot be", "no test of it")
ROWS = {found[1]: found.groups() for found in ROW.finditer(PAGE)}


def ids(name: str) -> set[str]:
    """The faults that the name of a test carries: `..._R13_S1`, or `test_r13_...`."""
    return {part.upper() for part in name.split("_") if re.fullmatch(r"[RWTDPCN]\d\d|[rwtdpcn]\d\d", part)}


def shown() -> dict[str, set[str]]:
    """The files whose tests carry an id."""
    found = defaultdict(set)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for one in ids(node.name):
                    found[one].add(path.stem)
    return dict(found)


SHOWN = shown()


def test_every_fault_has_one_row_in_order() -> None:
    rows = [found[1] for found in ROW.finditer(PAGE)]
    assert [one for one, count in Counter(rows).items() if count > 1] == []
    assert set(ALL) - RARE - set(rows) == set()
    assert rows == [one for one in ALL if one in rows]


def test_the_table_has_no_line_that_is_no_row() -> None:
    lines = [line for line in PAGE.partition("## Without a row")[0].splitlines() if line.startswith("|")]
    headings = [line for line in lines if line.startswith(("| id |", "|---"))]
    assert len(lines) - len(headings) == len(ROWS)
    assert len(headings) == 2 * len(LAST)


@pytest.mark.parametrize("one", ROWS)
def test_a_row_cites_exactly_the_files_whose_tests_carry_its_id(one: str) -> None:
    _, _, does, by = ROWS[one]
    cited = CITED.findall(by)
    assert {file for file, kind in cited if not kind} == SHOWN.get(one, set())
    assert all(file == "test_simulation" and kind in KINDS for file, kind in cited if kind)
    assert bool(cited) is (by != "-")
    assert cited or any(word in does for word in WHY)


def test_every_id_in_the_name_of_a_test_has_a_row() -> None:
    assert set(SHOWN) - set(ROWS) == set()


def test_every_fault_that_the_simulation_plays_is_cited_or_has_no_row_of_its_own() -> None:
    cited = {kind for *_, by in ROWS.values() for _, kind in CITED.findall(by) if kind}
    assert set(KINDS) - cited == {"rest.delay"}


def test_other_files_of_tests_that_the_page_names_are_there() -> None:
    assert set(re.findall(r"`(test_\w+)`", PAGE)) <= {path.stem for path in FILES}
