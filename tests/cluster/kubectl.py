"""kubectl, on whichever cluster KUBECONFIG names."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

CRD = Path(__file__).parents[2] / "crds" / "generationqueues.genfleet.dev.yaml"


class Kubectl(Protocol):
    """A command of kubectl."""

    def __call__(self, *args: str, give: Any = None, fails: bool = False) -> str:
        """What it prints. With `give`, this document is its input; with `fails`, it has to fail, and says why."""


def run(*args: str, give: Any = None, fails: bool = False) -> str:
    """Run kubectl: what it prints, or why it failed where it had to."""
    done = subprocess.run(
        (shutil.which("kubectl") or "kubectl", *args),
        input=None if give is None else json.dumps(give),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode != 0) is fails, f"kubectl {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout
