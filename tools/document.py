"""`docs/openapi.json`: the document that the API serves at /openapi.json, kept so that a change of it is seen in review."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from genfleet_service.app import create_api
from genfleet_service.keyring import KeyRing
from genfleet_service.metrics import ApiMetrics
from genfleet_service.settings import ServiceSettings


@cache
def build() -> dict[str, Any]:
    """The document. Nothing of it depends on the settings; the folder of media is made when the API is."""
    with tempfile.TemporaryDirectory() as folder:
        return create_api(
            ServiceSettings(media_dir=Path(folder)), KeyRing(()), ApiMetrics({}), asyncio.Event()
        ).openapi()


def text() -> str:
    """As it is kept."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
