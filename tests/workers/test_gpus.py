"""What a worker says of its GPUs. A stand-in answers for the driver where a fault is wanted that no card shows when asked."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from structlog.testing import capture_logs

from genfleet_workers import gpus
from genfleet_workers.gpus import Gpus
from tests.support.waiting import wait_for

GIB = 2**30
CARDS = {"GPU-aa": (10, 1 * GIB, 80 * GIB), "GPU-ab": (20, 2 * GIB, 80 * GIB), "GPU-cc": (30, 3 * GIB, 40 * GIB)}
PARTS = {"MIG-1": (None, 4 * GIB, 10 * GIB), "MIG-2": (None, 5 * GIB, 10 * GIB)}


class Driver:
    """Answers as `pynvml` does, of three cards; `split` names one that is in parts."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotFound = pynvml.NVMLError_NotFound
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_InvalidArgument = pynvml.NVMLError_InvalidArgument

    def __init__(self, split: str = "") -> None:
        self.split = split
        self.before_each: Callable[[], Any] = lambda: None

    def nvmlInit(self) -> None:  # noqa: N802  its names are the driver's
        """There is one."""
        self.before_each()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """How many."""
        return len(CARDS)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> str:  # noqa: N802
        """One by its number."""
        return list(CARDS)[number]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        """One by its name."""
        if uuid not in PARTS:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:  # noqa: N802
        """Its name."""
        return handle

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802
        """Whether it is in parts, and will be."""
        if not self.split:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return (int(handle == self.split),) * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, _handle: str) -> int:  # noqa: N802
        """As many as a card of this kind may have."""
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, _handle: str, number: int) -> str:  # noqa: N802
        """One part."""
        if number >= len(PARTS):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return list(PARTS)[number]

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        """Of its memory."""
        self.before_each()
        _, used, total = {**CARDS, **PARTS}[handle]
        return SimpleNamespace(used=used, total=total)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        """How busy."""
        if handle in PARTS:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=CARDS[handle][0])


def told(environment: dict[str, str], driver: Driver) -> dict[str, Any]:
    """What a worker with this environment says."""
    cards = Gpus(environment, driver)
    cards.look()
    return cards.describe()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [10, 20, 30]),
        ("0", [10]),
        ("2,0", [30, 10]),
        (" 1 , 2", [20, 30]),
        ("GPU-cc", [30]),
        ("GPU-c", [30]),
        ("GPU-a", []),  # two have this beginning
        ("0,7,1", [10]),  # what fits nothing ends the list
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_only_cards_that_the_worker_sees_count(visible: str | None, expected: list[int]) -> None:
    """TS-058: as CUDA reads CUDA_VISIBLE_DEVICES; a neighbour's cards are not this worker's."""
    environment = {"NVIDIA_VISIBLE_DEVICES": "void"} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert told(environment, Driver())["gpu_utilization"] == expected


def test_memory_is_told_of_each_card() -> None:
    """Used and in all, in bytes."""
    assert told({"CUDA_VISIBLE_DEVICES": "0,2"}, Driver())["gpu_memory_bytes"] == [[GIB, 80 * GIB], [3 * GIB, 40 * GIB]]


@pytest.mark.parametrize(
    ("visible", "used"), [("0", [4, 5]), ("MIG-2", [5]), ("GPU-aa", [4, 5]), ("1", [2]), (None, [4, 5, 2, 3])]
)
def test_a_part_of_a_card_counts_for_itself(visible: str | None, used: list[int]) -> None:
    """MIG: its memory is known, how busy it is, is not."""
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    said = told(environment, Driver(split="GPU-aa"))
    assert [memory[0] // GIB for memory in said["gpu_memory_bytes"]] == used
    assert said["gpu_utilization"] == [CARDS[card][0] for card in CARDS if CARDS[card][1] // GIB in used]


def test_without_a_card_there_is_nothing_to_tell() -> None:
    """The real library, on a machine without a driver, or with cards that are hidden: lists, and no error."""
    cards = Gpus({"CUDA_VISIBLE_DEVICES": ""})
    cards.start()
    assert cards.describe() == {"gpu_utilization": [], "gpu_memory_bytes": []}
    cards.join(0.5)
    assert cards.describe() == {"gpu_utilization": [], "gpu_memory_bytes": []}


def test_a_card_that_is_lost_is_one_line_in_the_log() -> None:
    """It is not told any more, and the log says why, once."""
    driver = Driver()
    cards = Gpus({}, driver)
    cards.look()

    def lost() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    driver.before_each = lost
    with capture_logs() as lines:
        cards.look()
        cards.look()
    assert cards.describe() == {"gpu_utilization": [], "gpu_memory_bytes": []}
    assert [(line["event"], line["log_level"]) for line in lines] == [("gpus_not_measured", "warning")]


def test_a_driver_that_hangs_costs_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat takes what was seen last, and does not wait; after a while that is too old to be told."""
    driver, hung, go_on = Driver(), threading.Event(), threading.Event()
    monkeypatch.setattr(gpus, "PERIOD_S", 0.001)
    cards = Gpus({}, driver)
    cards.start()
    wait_for("cards to be seen", lambda: cards.describe()["gpu_utilization"] == [10, 20, 30])

    def hang() -> None:
        hung.set()
        go_on.wait(60)

    driver.before_each = hang
    assert hung.wait(10)
    assert cards.describe()["gpu_utilization"] == [10, 20, 30]
    monkeypatch.setattr(gpus, "OLD_S", 0.0)
    with capture_logs() as lines:
        assert cards.describe() == cards.describe() == {"gpu_utilization": [], "gpu_memory_bytes": []}
    assert [line["event"] for line in lines] == ["gpus_not_measured"]
    monkeypatch.setattr(gpus, "PERIOD_S", 600)
    go_on.set()


FORK = """
import os, sys, threading, time
from genfleet_workers.gpus import Gpus
from tests.workers.test_gpus import Driver
driver, inside, asking = Driver(), threading.Event(), []
def slow():
    asking.append(True)
    inside.set()
    time.sleep(0.05)
    asking.pop()
driver.before_each = slow
cards = Gpus({}, driver)
threading.Thread(target=getattr(cards, sys.argv[1]), daemon=True).start()
inside.wait()
child = os.fork()
if not child:
    os._exit(0 if cards._asking.acquire(blocking=False) and not asking else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("asked", ["look", "run"])
def test_no_process_is_forked_while_the_driver_is_asked(asked: str) -> None:
    """Its copy of the driver's locks would stay shut, and the first engine that asks the driver would wait for ever.

    `run` begins with the driver's start, at which a worker forks its processes.
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, asked], check=True, timeout=30)
