"""docs/faults.md and docs/security.md are held against the tests: a row for each id, and the tests that show it."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from livermore_simulator.primitives import WIRE

from livermore_core.testing.faults import KINDS

ROOT = Path(__file__).resolve().parent.parent
FILES = [*ROOT.rglob("tests/test_*.py"), *(ROOT / "livermore_core" / "testing").glob("*_contract.py")]

ROW = re.compile(r"^\| ([A-Z]{1,2}\d{1,2}) \| (.+) \| (.+) \| (.+) \|$", flags=re.MULTILINE)
CITED = re.compile(r"`(\w+)(?:\[([\w.]+)\])?`")
# The files that play faults by their kind, and which.
PLAYED = {"test_simulation": KINDS, "test_wire_faults": WIRE}
# `-` needs one of these words beside it.
WHY = ("not built", "no such thing", "cannot be", "no test of it")


class Page:
    """A page and its rows: those of the reference by letter, up to the last; rare ones stand where there is a test."""

    def __init__(self, name: str, ids: str, last: Mapping[str, int], rare: set[str]) -> None:
        self.text = (ROOT / "docs" / f"{name}.md").read_text()
        self.tables = len(last)
        self.ids = re.compile(ids)
        digits = {letter: 1 if letter == "L" else 2 for letter in last}
        self.all = [f"{one}{number:0{digits[one]}}" for one, end in last.items() for number in range(1, end + 1)]
        self.rare = rare
        self.listed = [found[1] for found in ROW.finditer(self.text)]
        self.rows = {found[1]: found.groups() for found in ROW.finditer(self.text)}

    def carried(self, name: str) -> set[str]:
        """The ids of this page that the name of a test carries: `..._R13_S1`, or `test_r13_...`."""
        return {part.upper() for part in name.split("_") if self.ids.fullmatch(part)}


FAULTS = Page(
    "faults",
    r"[RWTDPCN]\d\d|[rwtdpcn]\d\d",
    {"R": 30, "W": 39, "T": 12, "D": 42, "P": 27, "C": 16, "N": 15},
    {"R26", "R27", "R28", "W03", "W33", "T08", "T10", "D02", "D10", "D15", "D18", "D19", "N12"},
)
SECURITY = Page(
    "security",
    r"S[KIFPRD]\d\d|s[kifprd]\d\d|[Ll][12]",
    {"SK": 12, "SI": 9, "SF": 4, "SP": 10, "SR": 6, "SD": 4, "L": 2},
    {"SP08"},
)
PAGES = [FAULTS, SECURITY]
ROWS = [(page, one) for page in PAGES for one in page.rows]
each_page = pytest.mark.parametrize("page", PAGES, ids=["faults", "security"])


def shown() -> dict[str, set[str]]:
    """The files whose tests carry an id."""
    found = defaultdict(set)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for one in {one for page in PAGES for one in page.carried(node.name)}:
                    found[one].add(path.stem)
    return dict(found)


SHOWN = shown()


@each_page
def test_everything_has_one_row_in_order(page: Page) -> None:
    assert [one for one, count in Counter(page.listed).items() if count > 1] == []
    assert set(page.all) - page.rare - set(page.listed) == set()
    assert page.listed == [one for one in page.all if one in page.listed]


@each_page
def test_the_table_has_no_line_that_is_no_row(page: Page) -> None:
    lines = [line for line in page.text.partition("## Without a row")[0].splitlines() if line.startswith("|")]
    headings = [line for line in lines if line.startswith(("| id |", "|---"))]
    assert len(lines) - len(headings) == len(page.rows)
    assert len(headings) == 2 * page.tables


@pytest.mark.parametrize(("page", "one"), ROWS, ids=[one for _, one in ROWS])
def test_a_row_cites_exactly_the_files_whose_tests_carry_its_id(page: Page, one: str) -> None:
    _, _, does, by = page.rows[one]
    cited = CITED.findall(by)
    assert {file for file, kind in cited if not kind} == SHOWN.get(one, set())
    assert all(kind in PLAYED[file] for file, kind in cited if kind)
    assert bool(cited) is (by != "-")
    assert cited or any(word in does for word in WHY)


def test_every_id_in_the_name_of_a_test_has_a_row() -> None:
    assert set(SHOWN) - {one for page in PAGES for one in page.rows} == set()


@pytest.mark.parametrize("file", PLAYED)
def test_every_fault_that_is_played_is_cited_or_has_no_row_of_its_own(file: str) -> None:
    cited = {kind for *_, by in FAULTS.rows.values() for played, kind in CITED.findall(by) if played == file}
    assert set(PLAYED[file]) - cited == {"rest.delay"}


@each_page
def test_other_files_of_tests_that_the_page_names_are_there(page: Page) -> None:
    assert set(re.findall(r"`(test_\w+)`", page.text)) <= {path.stem for path in FILES}
