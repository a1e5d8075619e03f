"""What the code must never do, found by reading it: run data, try a text for ever, trust anybody, hand a key around."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from livermore_core.cli.group import COMMANDS, livermore

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*(ROOT / "livermore_core").rglob("*.py"), *(ROOT / "plugins").glob("livermore-*/livermore_*/**/*.py")]
EVALUATES = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "yaml",
    "jsonpickle",
}
BY_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNBOUNDED = 1_000


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def nodes(source: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source))


def evaluating(source: str) -> set[str]:
    """What a source uses that runs data as code, or lets a shell run it."""
    found: set[str] = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names} & EVALUATES
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & EVALUATES
        elif isinstance(node, ast.Name):
            found |= {node.id} & EVALUATES
        elif isinstance(node, ast.Attribute):
            found |= {ast.unparse(node)} & (BY_SHELL | {"builtins.eval", "builtins.exec"})
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            found.add("shell")
    return found


BAD = {
    "eval(frame)": "eval",
    "run = exec": "exec",
    "import pickle": "pickle",
    "from pickle import loads": "pickle",
    "import marshal as m": "marshal",
    "def f():\n    import shelve": "shelve",
    "import yaml\nyaml.load(body)": "yaml",
    "__import__(name)": "__import__",
    "import builtins\nbuiltins.eval(x)": "builtins.eval",
    "subprocess.run(text, shell=True)": "shell",
    "os.system(text)": "os.system",
}


@pytest.mark.parametrize("source", BAD)
def test_the_rule_about_running_data_fires_SI01(source: str) -> None:
    assert BAD[source] in evaluating(source)


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_nothing_runs_data_SI01(path: Path) -> None:
    assert evaluating(path.read_text()) == set()


def test_modules_are_imported_by_name_where_installed_code_names_them_only_SI01() -> None:
    importing = {where(path) for path in SOURCES if "import_module" in path.read_text()}
    front_doors = {name for name in importing if name.endswith("__init__.py")}  # each from its own table
    assert importing - front_doors == {
        "livermore_core/cli/group.py",  # the commands, from their own table
        "livermore_core/contributions.py",  # what an installed plugin refers to
        "livermore_core/plugins.py",  # the built-in plugins
        "plugins/livermore-indicators/livermore_indicators/choosing.py",  # an indicator that an installed plugin offers
    }


# ---- regular expressions ----


def patterns(source: str) -> Iterator[str]:
    """Every regular expression of a source; what is filled in stands as 12."""
    for node in nodes(source):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value
            elif isinstance(first, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "12" for part in first.values)
            else:
                raise TypeError(f"cannot read the pattern {ast.unparse(first)}")


def is_exponential(pattern: str) -> bool:
    """Whether an endless repetition holds something that fits in several ways: another repetition, alternatives."""
    from re import _parser  # type: ignore[attr-defined]

    return any(_holds_a_choice(body) for body in _endless(_parser.parse(pattern)))


def _inner(node: Any) -> Iterator[Any]:
    """The parsed parts below a part."""
    if type(node).__name__ == "SubPattern":
        for operator, arguments in node:
            yield operator, arguments
            yield from _inner(arguments)
    elif isinstance(node, tuple | list):
        for each in node:
            yield from _inner(each)


def _endless(parsed: Any) -> Iterator[Any]:
    for operator, arguments in _inner(parsed):
        if str(operator) in ("MAX_REPEAT", "MIN_REPEAT") and arguments[1] > UNBOUNDED:
            yield arguments[2]


def _holds_a_choice(body: Any) -> bool:
    return any(
        str(operator) == "BRANCH" or (str(operator) in ("MAX_REPEAT", "MIN_REPEAT") and arguments[0] != arguments[1])
        for operator, arguments in _inner(body)
    )


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a*)*", "(?:a|aa)+$", "([a-z]+,?)*x", "(.*)*", "((a{1,9}))+"])
def test_the_rule_about_regular_expressions_fires_SI06(pattern: str) -> None:
    assert is_exponential(pattern)
    assert not is_exponential("[a-z]+(?:-[a-z]{1,20}){1,3}")


def test_no_regular_expression_tries_a_text_for_ever_SI06() -> None:
    found = {pattern: where(path) for path in SOURCES for pattern in patterns(path.read_text())}
    assert len(found) > 12
    assert {pattern: file for pattern, file in found.items() if is_exponential(pattern)} == {}


# ---- trust, and keys ----


def test_nothing_turns_the_checks_of_tls_off_or_changes_them_SI07() -> None:
    words = re.compile(r"CERT_NONE|check_hostname|_create_unverified|verify_ssl|\bssl=|fingerprint|SSLContext")
    assert {where(path): words.findall(path.read_text()) for path in SOURCES if words.search(path.read_text())} == {}


def test_a_secret_is_taken_out_of_its_wrapping_in_two_places_only_SK04() -> None:
    opened = {where(path) for path in SOURCES if "get_secret_value" in path.read_text()}
    assert opened == {
        "livermore_core/config/settings.py",  # so that it can be masked
        "plugins/livermore-coinbase/livermore_coinbase/keys.py",  # so that it can sign
    }
    signing = {where(path) for path in SOURCES if re.search(r"\.private\b", path.read_text())}
    assert signing == {"plugins/livermore-coinbase/livermore_coinbase/auth.py"}


def options(command: click.Command) -> Iterator[str]:
    yield from (str(parameter.name) for parameter in command.params)
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


@pytest.mark.parametrize("name", [*COMMANDS, "simulate", "demo"])
def test_no_command_takes_a_secret_as_an_argument_SK02(name: str) -> None:
    command = livermore.get_command(click.Context(livermore), name)
    assert command is not None
    assert not [each for each in options(command) if re.search("key|secret|password|token|credential", each)]
