"""Serves finished files. Their names hold the task's random id: who knows the address may read the file (NS-014)."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
    "Cross-Origin-Resource-Policy": "cross-origin",
}

_SHOWN = re.compile(r"image/(?:png|jpeg|webp|gif)|(?:video|audio)/")
"""What a browser may show by itself. Everything else it is to save: pages and drawings can hold programs."""


class Media(StaticFiles):
    """The media folder: no listing, no way out of it, ranges for players."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """A file, with headers that keep it from being anything but a file."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        if not _SHOWN.match(response.headers.get("Content-Type", "")):
            response.headers["Content-Disposition"] = "attachment"
        return response
