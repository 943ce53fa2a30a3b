"""Helm, as a person would use it: the program where there is one, else the library of the same name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "genfleet"
ENVIRONMENTS = tuple(sorted(CHART.glob("values-*.yaml")))
HOST = {"api": {"ingress": {"host": "genfleet.example.com"}}}
"""What everybody has to set in the values of an environment."""

WITHIN_S = 150
"""How long an installation may take: images are there, nothing has to be pulled."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release in one namespace. Each call waits until the pods are ready if it is told to."""

    name: str
    namespace: str

    def install(self, values: dict[str, Any], *, chart: Path = CHART, wait: bool = False) -> None:
        """`helm install`."""
        self._put("install", chart, values, wait=wait)

    def upgrade(self, values: dict[str, Any], *, chart: Path = CHART, wait: bool = False) -> None:
        """`helm upgrade`."""
        self._put("upgrade", chart, values, wait=wait)

    def rollback(self, revision: int) -> None:
        """`helm rollback`."""
        if program():
            self._run("rollback", self.name, str(revision))
        else:
            with self._library() as library:
                library.rollback(self.name, version=revision, timeout=WITHIN_S)

    def uninstall(self) -> None:
        """`helm uninstall`, and wait until everything is gone. Nothing happens if it is gone already."""
        if program():
            self._run("uninstall", self.name, "--ignore-not-found", "--wait")
        else:
            with self._library() as library:
                library.uninstall(self.name, ignore_not_found=True, wait="watcher", timeout=WITHIN_S)

    def _put(self, action: str, chart: Path, values: dict[str, Any], *, wait: bool) -> None:
        if program():
            self._run(action, self.name, str(chart), "--values", "-", *(["--wait"] if wait else []), give=values)
        else:
            with self._library() as library:
                put = library.install if action == "install" else library.upgrade
                put(
                    str(chart),
                    self.name,
                    values,
                    namespace=self.namespace,
                    timeout=WITHIN_S,
                    wait="watcher" if wait else None,
                )

    def _library(self) -> helm_python.Config:
        return helm_python.Config(namespace=self.namespace)

    def _run(self, action: str, *args: str, give: dict[str, Any] | None = None) -> None:
        command = (program() or "helm", action, *args, "--namespace", self.namespace, "--timeout", f"{WITHIN_S}s")
        done = subprocess.run(
            command,
            input=None if give is None else json.dumps(give),
            capture_output=True,
            text=True,
            timeout=WITHIN_S + 30,
            check=False,
        )
        assert done.returncode == 0, f"helm {action}: {done.stderr}"


def program() -> str | None:
    """Where helm is: what HELM says (a path), else the one on the PATH; empty HELM for the library."""
    return os.environ["HELM"] or None if "HELM" in os.environ else shutil.which("helm")
