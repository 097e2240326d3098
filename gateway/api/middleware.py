"""Around every request: its id, its answer's headers, errors as problems, metrics, and one log line.

A log line names the route's pattern, never the address itself: numbers stand in addresses.
"""

import asyncio
import re
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway import logs
from gateway.api import problems
from gateway.api.operation import DOORS
from gateway.clock import new_id
from gateway.errors import GatewayError
from gateway.errors.api import EncodedBody

REQUEST_ID: Final = "X-Request-Id"
REQUEST: Final = web.RequestKey("request_id", str)
UNTIMED: Final = web.AppKey("untimed", frozenset[str])  # routes that answer for as long as somebody listens

# Nothing the API answers may be run by a browser; /docs sets its own.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_CLIENT_IS_GONE: Final = 499  # as nginx calls it; raised on, aiohttp would log an error for each
_AS_IT_IS: Final = "identity"
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger(__name__)


@web.middleware
async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve one request."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _GIVEN_ID.fullmatch(given) else new_id("req")
    request[REQUEST] = request_id
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    began = time.monotonic()
    with logs.bound(request_id=request_id):
        response = await _answer(request, handler, request_id, route)
        seconds = time.monotonic() - began
        metrics = request.app[DOORS].metrics
        metrics.requests.labels(request.method, route, str(response.status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        if response.status >= 400 or not route.startswith("/carriers/"):  # of these one or more for every text: counted
            took_ms = round(seconds * 1000)
            _log.info("request", method=request.method, route=route, status=response.status, took_ms=took_ms)
    if not response.prepared:
        set_headers(request, response)
    return response


def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer the headers that every answer has; those it set itself stay."""
    response.headers[REQUEST_ID] = request[REQUEST]
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _refuse_encoded(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", _AS_IT_IS).lower() != _AS_IT_IS:
        raise EncodedBody


async def _answer(request: web.Request, handler: Handler, request_id: str, route: str) -> web.StreamResponse:
    limit_s = None if route in request.app[UNTIMED] else request.app[DOORS].settings.http.request_timeout_s
    try:
        _refuse_encoded(request)
        async with asyncio.timeout(limit_s):
            return await handler(request)
    except GatewayError as error:
        if error.status >= 500:
            _log.error(error.slug, route=route, error=str(error))  # for ops: this one is not the caller's fault
        return problems.of_error(error, request_id)
    except web.HTTPException as error:
        return problems.of_http(error, request_id) if error.status >= 400 else error
    except TimeoutError:
        return problems.of_timeout(request_id)
    except ConnectionError:
        return web.Response(status=_CLIENT_IS_GONE)  # nobody is there to be answered: for the log and the figures
    except Exception:  # noqa: BLE001 - the caller gets a problem, the log gets the rest
        _log.exception("request_failed", route=route)
        return problems.of_bug(request_id)
