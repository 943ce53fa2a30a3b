"""`docs/coverage.md`: each row of the requirements, and the tests that prove it.

A test names its rows in its docstring, alone or as a range ("TS-104 to TS-107"), or in the ids of its parameters. The files
are parsed and not imported, so this needs no server. `tests/repo/test_coverage.py` fails where a row has no test.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
ROWS = TESTS / "requirements" / "ts.yaml"
_NAMED = re.compile(r"\bTS-(\d{3})(?: to (?:TS-)?(\d{3}))?\b")


@dataclass(frozen=True, slots=True)
class Requirements:
    """The rows as they are kept, in their order."""

    sections: Mapping[str, Mapping[str, str]]
    """For each heading its rows, and what each asks for."""
    served_otherwise: Mapping[str, str]
    """Rows that no test can prove, and what serves them."""

    @property
    def rows(self) -> list[str]:
        """The numbers of all rows."""
        return [row for rows in self.sections.values() for row in rows]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Who proves what."""

    asked: Requirements
    proofs: Mapping[str, list[str]]
    """For each row that a test names, the tests, as pytest takes them: file::test."""

    @property
    def without_proof(self) -> list[str]:
        """Rows that nothing serves."""
        return [row for row in self.asked.rows if row not in self.proofs and row not in self.asked.served_otherwise]

    @property
    def unknown(self) -> dict[str, list[str]]:
        """Rows that tests name, and that there are none of."""
        return {row: tests for row, tests in self.proofs.items() if row not in self.asked.rows}


def read() -> Coverage:
    """The rows, and what the tests of this repository say of them."""
    kept = yaml.safe_load(ROWS.read_text())
    proofs = defaultdict[str, list[str]](list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for test, rows in tests_of(file.read_text()):
            for row in sorted(rows):
                proofs[row].append(f"{file.relative_to(ROOT)}::{test}")
    return Coverage(Requirements(kept["rows"], kept["served_otherwise"]), dict(proofs))


def tests_of(source: str) -> Iterator[tuple[str, set[str]]]:
    """Each test of a file, and the rows that it names."""
    module = ast.parse(source)
    values = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            said = [
                ast.get_docstring(node) or "",
                *(text for each in node.decorator_list for text in _ids(each, values)),
            ]
            yield node.name, {row for text in said for row in _rows(text)}


def _ids(decorator: ast.expr, values: Mapping[str, ast.expr]) -> Iterator[str]:
    """The ids in a parametrization, also of one, or of a list of parameters, that has a name in its module."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Name) and node.id in values:
            yield from _ids(values[node.id], {name: value for name, value in values.items() if name != node.id})
        elif isinstance(node, ast.keyword) and node.arg in ("id", "ids"):
            yield from (str(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant))


def _rows(text: str) -> Iterator[str]:
    for first, last in _NAMED.findall(text):
        yield from (f"TS-{number:03}" for number in range(int(first), int(last or first) + 1))


def text() -> str:
    """The table."""
    found = read()
    proved = sum(row in found.proofs for row in found.asked.rows)
    lines = [
        "# What is asked, and what proves it",
        "",
        "Made from `tests/requirements/ts.yaml` and from the rows that tests name, by `make generate`. "
        f"Of {len(found.asked.rows)} rows {proved} are proved by tests"
        + (f", {len(found.asked.served_otherwise)} are served otherwise." if found.asked.served_otherwise else "."),
    ]
    for section, rows in found.asked.sections.items():
        lines += ["", f"## {section}", "", "| row | asks | proved by |", "|---|---|---|"]
        lines += [f"| {row} | {title} | {_shown(row, found)} |" for row, title in rows.items()]
    return "\n".join(lines) + "\n"


def _shown(row: str, found: Coverage) -> str:
    cells = [f"`{test.removeprefix('tests/')}`" for test in found.proofs.get(row, [])]
    if row in found.asked.served_otherwise:
        cells.append(found.asked.served_otherwise[row])
    return "<br>".join(cells) or "**nothing**"
