"""`/openapi.json` and `/docs`: the API's description, and a page to read and try it that loads nothing from outside."""

from functools import cache
from importlib import resources
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.api.openapi import document
from gateway.api.operation import DOORS, OPERATIONS

# swagger-ui draws its icons from data: URLs in its own style sheet; everything else comes from here.
_CSP: Final = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Campaign gateway: API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_FILES: Final = {
    "swagger-ui.css": ("swagger-ui", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui", "text/javascript"),
    "favicon-32x32.png": ("swagger-ui", "image/png"),
    "start.js": ("", "text/javascript"),
}


@cache
def _described() -> dict[str, Any]:
    """What is the same wherever it is served. It takes a fifth of a second, so a process makes it once."""
    return document(OPERATIONS)


def add_routes(app: web.Application) -> None:
    """Serve the description and its page."""
    settings = app[DOORS].settings
    description = orjson.dumps(_described() | {"servers": [{"url": settings.public_url or "/"}]})

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _CSP})

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", page)
    for name, (folder, kind) in _FILES.items():
        path = resources.files("gateway.api") / "static" / folder / name
        app.router.add_get(f"/docs/{name}", _file(path.read_bytes(), kind))


def _file(body: bytes, kind: str) -> "web._WebHandler":  # type: ignore[name-defined]
    async def serve(_request: web.Request) -> web.Response:
        headers = {"Cache-Control": "max-age=86400"}
        return web.Response(body=body, content_type=kind, headers=headers)

    return serve
