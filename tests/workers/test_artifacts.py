"""What becomes of an engine's product: a file with what points to it, values as they are, or both."""

from __future__ import annotations

from pathlib import Path

import pytest

from genfleet.errors import ConfigurationError, TransientError
from genfleet.store.records import Lease
from genfleet_workers.artifacts import Artifacts, prove_writable
from genfleet_workers.engines.base import Product


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """A media folder."""
    return Artifacts(tmp_path / "media", "https://media.ft.tc/")


LEASE = Lease("0123456789abcdef", 3, "test_prompt", "p", b"{}", 0)


def test_values_are_the_result(artifacts: Artifacts) -> None:
    """TS-092: without a file the result is what the engine says, with its metadata; no file or address is made up."""
    product = Product(values={"rating": 85, "issues": []}, metadata={"tokens_used": 1500})

    assert artifacts.publish(LEASE, product) == (
        {"rating": 85, "issues": [], "metadata": {"tokens_used": 1500}},
        None,
    )
    assert not artifacts.folder.exists()


def test_a_file_may_come_with_values(artifacts: Artifacts, tmp_path: Path) -> None:
    """TS-082: beside what points to the file, and its size, stands what else the engine has to say."""
    made = tmp_path / "made.wav"
    made.write_bytes(b"12345")

    result, place = artifacts.publish(LEASE, Product(made, {"duration": 1.0}, {"operations": ["trim"]}))

    assert place is not None
    assert place.read_bytes() == b"12345"
    assert result["media_url"] == f"https://media.ft.tc/{place.relative_to(artifacts.folder)}"
    assert len(result["payload_media_id"]) == 24
    assert result["operations"] == ["trim"]
    assert result["metadata"] == {"duration": 1.0, "file_size": 5}


def test_a_folder_that_does_not_take_a_file_is_worth_another_attempt(artifacts: Artifacts, tmp_path: Path) -> None:
    """TS-111: the work was good; what is told is why it could not be stored, and nothing of where."""
    made = tmp_path / "made.wav"
    made.write_bytes(b"12345")
    artifacts.folder.write_text("a file in the place of the folder")

    with pytest.raises(TransientError, match=r"^The finished file could not be stored: (Not a directory|File exists)$"):
        artifacts.publish(LEASE, Product(made))


def test_a_media_folder_is_proved_before_any_work(tmp_path: Path) -> None:
    """It is made if it can be, and nothing is left in it; else the sentence names the variable, the user and the remedy."""
    prove_writable(tmp_path / "new" / "media")
    assert list((tmp_path / "new" / "media").iterdir()) == []

    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigurationError, match=r"GENFLEET_MEDIA_DIR: .*/file cannot be written by user \d+ \(.*fsGroup"
    ):
        prove_writable(tmp_path / "file")
