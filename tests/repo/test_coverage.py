"""The requirements: each row has its test, and each test names rows that there are."""

from __future__ import annotations

from tools import coverage

FOUND = coverage.read()

EXAMPLE = '''
import pytest

both = pytest.mark.parametrize("path", [pytest.param("a", id="TS-005 one way"), pytest.param("TS-099", id="another")])
CASES = [pytest.param(1, id="TS-006")]

@both
@pytest.mark.parametrize("case", CASES)
def test_one(path, case):
    """TS-001, TS-010 to TS-012, XC-003: and a sentence."""

def helper():
    """TS-002: no test."""

async def test_two():
    """Names none."""
    """TS-003: no docstring."""
'''


def test_rows_are_found_in_docstrings_ranges_and_ids() -> None:
    """What a test names is read from its docstring and the ids of its parameters, and from nothing else."""
    assert dict(coverage.tests_of(EXAMPLE)) == {
        "test_one": {"TS-001", "TS-005", "TS-006", "TS-010", "TS-011", "TS-012"},
        "test_two": set(),
    }


def test_every_row_has_a_test() -> None:
    """Whatever is asked is proved by a test that names it, or stands in the list of what is served otherwise."""
    assert FOUND.without_proof == []


def test_every_row_that_a_test_names_is_asked() -> None:
    """A number that was mistyped proves nothing."""
    assert FOUND.unknown == {}


def test_rows_are_numbered_through() -> None:
    """None was lost from the file of rows, and none stands in it twice."""
    assert FOUND.asked.rows == [f"TS-{number:03}" for number in range(1, 187)]


def test_what_is_served_otherwise_is_not_tested_as_well() -> None:
    """The list of exceptions stays as short as it can be."""
    assert [row for row in FOUND.asked.served_otherwise if row in FOUND.proofs or row not in FOUND.asked.rows] == []
