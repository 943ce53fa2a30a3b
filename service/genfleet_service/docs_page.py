"""`/docs`: the API's document as a page that people can try requests on.

Swagger UI comes from a content network, as one exact version: the browser takes it only if its digest is the one below,
and the page loads nothing else and talks to nobody else. `GENFLEET_DOCS=false` takes the page and the document away.
"""

from __future__ import annotations

import base64
import hashlib

from starlette.requests import Request
from starlette.responses import HTMLResponse

_UI = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5.35.0"
_SCRIPT, _SCRIPT_DIGEST = (
    f"{_UI}/swagger-ui-bundle.js",
    "gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9",
)
_STYLE, _STYLE_DIGEST = f"{_UI}/swagger-ui.css", "WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I"
_START = (
    "SwaggerUIBundle({url: '/openapi.json', dom_id: '#ui', deepLinking: true, presets: [SwaggerUIBundle.presets.apis]})"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>genfleet API</title>
<link rel="stylesheet" href="{_STYLE}" integrity="sha384-{_STYLE_DIGEST}" crossorigin="anonymous">
</head>
<body>
<div id="ui">The page needs a script from cdn.jsdelivr.net. Without it: <a href="/openapi.json">/openapi.json</a>.</div>
<script src="{_SCRIPT}" integrity="sha384-{_SCRIPT_DIGEST}" crossorigin="anonymous"></script>
<script>{_START}</script>
</body>
</html>
"""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_SCRIPT} 'sha256-{base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()}'",
        f"style-src {_STYLE} 'unsafe-inline'",  # Swagger UI sets styles of single elements
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


async def docs(_request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
