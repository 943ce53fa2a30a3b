"""Why an attempt failed: whether another one is worth it, and as what it is counted."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import httpx
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from genfleet.contract.measures import Cause
from genfleet.egress import fetch
from genfleet.errors import InputError, PermanentError, TransientError
from genfleet_workers.engines import ffmpeg
from genfleet_workers.engines.pictures import decode
from genfleet_workers.failures import cause, is_passing
from tests.support.servers import free_port

ASKED = httpx.Request("GET", "http://service/")


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SoftTimeLimitExceeded(), Cause.TIMEOUT),
        (TimeoutError(), Cause.TIMEOUT),
        (httpx.ReadTimeout("slow"), Cause.TIMEOUT),
        (ConnectionRefusedError(), Cause.CONNECTION),
        (socket.gaierror(socket.EAI_AGAIN, "no name"), Cause.CONNECTION),
        (httpx.ConnectError("away"), Cause.CONNECTION),
        (httpx.HTTPStatusError("503", request=ASKED, response=httpx.Response(503)), Cause.HTTP),
        (MemoryError(), Cause.MEMORY),
        (OSError(errno.ENOMEM, "no memory"), Cause.MEMORY),
        (OutOfMemoryError("CUDA out of memory"), Cause.MEMORY),
        (OSError(errno.ENOSPC, "full"), Cause.EXHAUSTED),
        (OSError(errno.EMFILE, "too many files"), Cause.EXHAUSTED),
        (InputError("no words"), Cause.INPUT),
        (TransientError("later"), Cause.ENGINE),
        (PermanentError("no"), Cause.ENGINE),
        (FileNotFoundError(errno.ENOENT, "weights.bin"), Cause.ENGINE),
        (ValueError("?"), Cause.ENGINE),
        (SystemExit(1), Cause.ENGINE),
    ],
    ids=repr,
)
def test_each_error_has_one_cause(error: BaseException, expected: Cause) -> None:
    """A label of a metric is a word of a closed list, whatever an engine raised."""
    assert cause(error) is expected


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "no memory"),
        OutOfMemoryError("CUDA out of memory"),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EMFILE, "too many files"),
    ],
    ids=repr,
)
def test_what_was_exhausted_is_worth_another_attempt(error: BaseException) -> None:
    """TS-111: memory, of a GPU as well, disk and file handles: a minute later there may be enough."""
    assert is_passing(error)


@pytest.mark.parametrize("kind", [PermanentError, type("OutOfMemoryError", (PermanentError,), {})])
def test_an_engine_that_says_no_is_believed(kind: type[PermanentError]) -> None:
    """TS-112: one that raises PermanentError is not tried again, whatever that was raised from, or is called."""
    error = kind("the picture is too large for any GPU of ours")
    error.__cause__ = OutOfMemoryError("CUDA out of memory")
    assert not is_passing(error)
    assert cause(error) is Cause.MEMORY


def test_what_it_was_raised_from_tells() -> None:
    """An engine that wraps errors in sentences for people hides no cause."""
    wrapped = PermanentError("left out")
    wrapped.__cause__ = TransientError("no answer")
    wrapped.__cause__.__cause__ = httpx.ConnectTimeout("slow")
    assert cause(wrapped) is Cause.TIMEOUT


def test_a_ring_of_causes_comes_to_an_end() -> None:
    """S8: a task's own code may raise anything, and the settlement must not hang on it."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert cause(one) is Cause.ENGINE


def test_a_service_that_is_not_there_is_a_connection() -> None:
    """What is fetched for a task: the sentence is ours, the cause is still known."""
    with pytest.raises(TransientError) as failed:
        fetch(f"http://127.0.0.1:{free_port()}/a.png", limit_bytes=1, timeout=5, allow_private=True)
    assert cause(failed.value) is Cause.CONNECTION


def test_what_cannot_be_read_is_input(tmp_path: Path) -> None:
    """Pictures, files and addresses that were submitted: no engine has to be mended for them."""
    with pytest.raises(PermanentError) as picture:
        decode(b"no picture")
    with pytest.raises(PermanentError) as address:
        fetch("ftp://example.com/a.png", limit_bytes=1, timeout=5)
    assert (cause(picture.value), cause(address.value)) == (Cause.INPUT, Cause.INPUT)


def test_a_full_disk_is_known_from_what_ffmpeg_says() -> None:
    """The engine says it in a sentence, and counts as what it is."""
    assert cause(ffmpeg.failure(1, "out.mp4: No space left on device")) is Cause.EXHAUSTED
    assert cause(ffmpeg.failure(1, "Invalid data found")) is Cause.ENGINE
