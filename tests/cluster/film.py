"""What happened to the pods of a namespace while a test went on: every change, as the API server told it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pod = dict[str, Any]

WORKERS = "app.kubernetes.io/name=genfleet-worker"
GPU = "nvidia.com/gpu"
OVER = ("Succeeded", "Failed")


@dataclass(slots=True)
class Film:
    """Watches the workers from its start until it is looked at."""

    namespace: str
    file: Path
    _watch: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to watch."""
        with self.file.open("wb") as output:
            self._watch = subprocess.Popen(
                (
                    shutil.which("kubectl") or "kubectl",
                    *("get", "pods", "-n", self.namespace, "-l", WORKERS),
                    *("--watch", "--output-watch-events", "-o", "json"),
                ),
                stdout=output,
                stderr=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """End it."""
        if self._watch:
            self._watch.kill()
            self._watch.wait()
            self._watch = None

    def most(self, value: Callable[[Pod], int]) -> int:
        """The largest sum of a value over all pods that were there at once."""
        return max((sum(map(value, pods)) for pods in self._pictures()), default=0)

    def seen(self) -> list[Pod]:
        """Every pod that was there, as it was last seen."""
        pods: dict[str, Pod] = {}
        for event in self._events():
            pods[event["object"]["metadata"]["name"]] = event["object"]
        return list(pods.values())

    def _pictures(self) -> Iterator[list[Pod]]:
        """The pods after each change."""
        pods: dict[str, Pod] = {}
        for event in self._events():
            name = event["object"]["metadata"]["name"]
            pods[name] = event["object"]
            if event["type"] == "DELETED":
                del pods[name]
            yield list(pods.values())

    def _events(self) -> Iterator[dict[str, Any]]:
        text, at, decoder = self.file.read_text(), 0, json.JSONDecoder()
        while (at := _next(text, at)) < len(text):
            try:
                event, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError:  # still being written
                return
            assert event["type"] != "ERROR", f"the watch ended: {event['object']}"
            yield event


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def is_there(pod: Pod) -> int:
    """1 for a pod that was not told to end."""
    return int("deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in OVER)


def gpus(pod: Pod) -> int:
    """GPUs that a pod holds: it has a node, and has not ended."""
    if "nodeName" not in pod["spec"] or pod["status"].get("phase") in OVER:
        return 0
    return sum(int(each["resources"].get("requests", {}).get(GPU, 0)) for each in pod["spec"]["containers"])
