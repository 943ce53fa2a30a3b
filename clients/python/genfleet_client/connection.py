"""Where the service is and which key it takes: from the environment, else from a local installation that runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_URL = "http://localhost:8001"
_URL_NAMES = ("GENFLEET_URL", "TASK_SERVICE_URL")
_KEY_NAMES = ("GENFLEET_API_KEY", "CELERY_TASK_API_KEY", "API_KEY")


@dataclass(frozen=True, slots=True)
class Connection:
    """Address and key of a service."""

    url: str
    api_key: str

    @classmethod
    def find(cls) -> Connection:
        """The environment first; then the `.genfleet` folder here, in a folder above, or in the home folder."""
        local = _local() or {}
        return cls(
            url=_first(_URL_NAMES) or local.get("url") or DEFAULT_URL,
            api_key=_first(_KEY_NAMES) or local.get("api_key") or "",
        )


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _local() -> dict[str, str] | None:
    """What `genfleet up` left for us."""
    here = Path.cwd()
    folders = [folder / ".genfleet" for folder in (here, *here.parents, Path.home())]
    if "GENFLEET_DATA" in os.environ:
        folders.insert(0, Path(os.environ["GENFLEET_DATA"]))
    for folder in folders:
        try:
            found: dict[str, str] = json.loads((folder / "client.json").read_text())
        except (OSError, ValueError):
            continue
        return found
    return None
