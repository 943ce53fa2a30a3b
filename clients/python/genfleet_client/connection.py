"""Where the service is and which key it takes: from the environment, else from a local installation that runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_URL = "http://localhost:8001"
_URL_NAMES = ("GENFLEET_URL", "TASK_SERVICE_URL")
_KEY_NAMES = ("GENFLEET_API_KEY", "CELERY_TASK_API_KEY", "CELERY_API_KEY")


@dataclass(frozen=True, slots=True)
class Connection:
    """Address and key of a service."""

    url: str
    api_key: str

    @classmethod
    def find(cls, url: str | None = None, api_key: str | None = None) -> Connection:
        """What is given; then the environment; then the `.genfleet` folder here, in a folder above, or in the home folder.

        The key of a local installation is for its own address: it is never sent to another one. Raises ValueError.
        """
        local, url, key = _local(), url or _first(_URL_NAMES), api_key or _first(_KEY_NAMES)
        if url and not url.startswith(("http://", "https://")):
            raise ValueError(f"GENFLEET_URL: '{url}' must begin with http:// or https://, such as {DEFAULT_URL}")
        if not key and url in (None, local.get("url")):
            key = local.get("api_key")
        return cls(
            url=url or local.get("url") or DEFAULT_URL,
            api_key=key or "",
        )


def is_told() -> bool:
    """Whether anything says where the service is: the environment, or a local installation that runs."""
    return bool(_first(_URL_NAMES) or _local())


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name].strip() for name in names if os.environ.get(name, "").strip()), None)


def _local() -> dict[str, str]:
    """What `genfleet up` left for us; empty if there is none."""
    here = Path.cwd()
    folders = [folder / ".genfleet" for folder in (here, *here.parents, Path.home())]
    if os.environ.get("GENFLEET_DATA"):
        folders.insert(0, Path(os.environ["GENFLEET_DATA"]))
    for folder in folders:
        try:
            found = json.loads((folder / "client.json").read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}
