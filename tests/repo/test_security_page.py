"""The page on security keeps its word: each rule has its row, and each row a test that exists or a reason why there is none."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (S\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file."""
    names = (node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


def test_every_rule_has_its_row() -> None:
    """S1 to S28, in their order, and no other."""
    assert [number for number, *_ in ROWS] == [f"S{number}" for number in range(1, 29)]


@pytest.mark.parametrize(("number", "rule", "held", "proof"), ROWS, ids=[number for number, *_ in ROWS])
def test_every_row_is_proved_or_says_why_not(number: str, rule: str, held: str, proof: str) -> None:
    """A test that was renamed, or a row that only asserts, is noticed here."""
    missing = [f"{file}::{name}" for file, name in PROOF.findall(proof) if name not in names_in(file)]
    assert not missing, f"{number} names tests that there are not: {', '.join(missing)}"
    assert PROOF.search(proof) or "*Reason*" in held + proof, f"{number} ({rule}) has neither a test nor a reason"
    assert not PROOF.sub("", proof).strip(", ") or "*Reason*" in proof, f"{number}: the proof column is for test ids"
