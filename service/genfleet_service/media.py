"""Serves finished files. Their names hold the task's random id: who knows the address may read the file (NS-014)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class Media(StaticFiles):
    """The media folder: no listing, no way out of it, ranges for players."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """A file, with headers that keep it from being anything but a file."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
