"""What the driver of NVIDIA's cards says of those that this worker sees.

A thread of its own asks: a card that has failed can let the driver hang, and a beat that waits for it would lose the leases
of everything that runs here.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pynvml
import structlog

log = structlog.get_logger(__name__)

PERIOD_S = 2.0
"""As often as a worker says how it is. One look takes 0.3 ms of an H200, and the beat none of it."""
OLD_S = 10.0
"""What was measured longer ago than this is not told any more."""
FORK_WAITS_S = 1.0
"""A fork waits so long, at most, for a measurement to end."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card, or one part of a card (MIG), at one moment."""

    utilization: int | None
    """Percent of the last moment in which it was busy. None: a part of a card is not measured."""
    used: int
    """Bytes, with what the driver keeps for itself."""
    total: int


class Gpus(threading.Thread):
    """Looks at the cards every two seconds, until the process ends."""

    def __init__(self, environment: Mapping[str, str], driver: Any = pynvml) -> None:
        super().__init__(name="gpus", daemon=True)
        self._wanted = environment.get("CUDA_VISIBLE_DEVICES")
        self._driver = driver
        self._seen: tuple[Card, ...] = ()
        self._seen_at = time.monotonic()
        self._trouble = ""
        # The driver's library has locks, and a fork in the middle of a call would give a child copies that nobody opens.
        self._asking = threading.Lock()
        self._held = False
        os.register_at_fork(before=self._hold, after_in_parent=self._let_go, after_in_child=self._let_go)

    def describe(self) -> dict[str, Any]:
        """As they were last seen: percent, and bytes used and in all, of each."""
        fresh = time.monotonic() - self._seen_at < OLD_S
        seen = self._seen if fresh else ()
        if self._seen and not fresh:
            self._complain("the driver does not answer")
        return {
            "gpu_utilization": [card.utilization for card in seen if card.utilization is not None],
            "gpu_memory_bytes": [[card.used, card.total] for card in seen],
        }

    def run(self) -> None:
        """Look, again and again, if there is a driver to ask."""
        try:
            with self._asking:  # a worker forks its processes while this goes on, and it may take seconds
                self._driver.nvmlInit()
        except self._driver.NVMLError as error:
            log.debug("no_gpu", reason=str(error))
            return
        pause = threading.Event()
        while True:
            self.look()
            pause.wait(PERIOD_S)

    def look(self) -> None:
        """Measure once."""
        try:
            with self._asking:
                self._seen = tuple(self._cards())
        except self._driver.NVMLError as error:
            self._seen = ()
            self._complain(str(error))
        else:
            self._trouble = ""
        self._seen_at = time.monotonic()

    def _complain(self, reason: str) -> None:
        """Once, until it is well again."""
        if reason != self._trouble:
            log.warning("gpus_not_measured", reason=reason)
        self._trouble = reason

    def _cards(self) -> Iterator[Card]:
        nvml = self._driver
        every = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
        for handle in self._visible(every):
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            utilization = None
            with suppress(nvml.NVMLError_NotSupported, nvml.NVMLError_InvalidArgument):
                utilization = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            yield Card(utilization, memory.used, memory.total)

    def _visible(self, every: Sequence[Any]) -> Iterator[Any]:
        """As CUDA reads the variable: numbers or UUIDs, of which the first that fits nothing ends the list.

        Not NVIDIA_VISIBLE_DEVICES: that is for the container runtime, which has hidden the other cards by now, from the
        driver as well, and has numbered the rest anew.
        """
        nvml = self._driver
        if self._wanted is None:
            for card in every:
                yield from self._parts(card)
            return
        for name in map(str.strip, self._wanted.split(",")):
            if name.isdecimal() and int(name) < len(every):
                yield from self._parts(every[int(name)])
            elif name.startswith("MIG-"):
                yield nvml.nvmlDeviceGetHandleByUUID(name)
            else:
                found = [card for card in every if name and nvml.nvmlDeviceGetUUID(card).startswith(name)]
                if len(found) != 1:
                    return
                yield from self._parts(found[0])

    def _parts(self, card: Any) -> Iterator[Any]:
        """Those of a card that was split (MIG), as far as they are ours to see; or the card."""
        nvml = self._driver
        try:
            split, _ = nvml.nvmlDeviceGetMigMode(card)
        except nvml.NVMLError_NotSupported:
            split = 0
        if not split:
            yield card
            return
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
            try:
                part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
            except nvml.NVMLError_NotFound:
                continue
            yield part

    def _hold(self) -> None:
        self._held = self._asking.acquire(timeout=FORK_WAITS_S)

    def _let_go(self) -> None:
        if self._held:
            self._asking.release()
