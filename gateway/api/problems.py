"""What went wrong, as RFC 9457 problem details: `{type, title, status, detail, request_id, errors?}`.

`type` is `/problems/<slug>`; slugs never change. `errors` has an entry for each field, row or line that is wrong.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.errors import GatewayError
from gateway.errors.api import FieldProblem, InvalidRecipients, InvalidRequest, Unauthorized
from gateway.errors.campaign import BadRecipients
from gateway.errors.phone import InvalidNumber
from gateway.errors.sms import BadTemplate, BadText, BadVariable, MissingVariable
from gateway.errors.voice import BadDialplan, BadVariables

CONTENT_TYPE: Final = "application/problem+json"
TYPES: Final = "/problems/"

# What aiohttp refuses before a handler of ours is reached.
_SLUGS: Final[Mapping[int, tuple[str, str]]] = {
    404: ("not_found", "there is nothing at this address; /docs lists all there is"),
    405: ("method_not_allowed", "this address does not take this method; see the Allow header"),
    413: ("body_too_large", "the body is larger than is taken here (at most http.max_body_bytes; 64 KiB of a form)"),
}


def of_error(error: GatewayError, request_id: str) -> web.Response:
    """Answer with an error of ours. What a bug raised is never told outward."""
    detail = str(error) if error.status < 500 or error.slug != "internal" else _UNTOLD
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else {}
    return _response(error.status, error.slug, detail, request_id, errors=_errors(error), headers=headers)


def of_http(error: web.HTTPException, request_id: str) -> web.Response:
    """Answer with what aiohttp refused: an unknown path, a wrong method, a body too large."""
    slug, detail = _SLUGS.get(error.status, ("bad_request", error.reason))
    kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return _response(error.status, slug, detail, request_id, headers=kept)


def of_bug(request_id: str) -> web.Response:
    """Answer when something of ours broke. The log has the rest, under the request's id."""
    return _response(500, "internal", _UNTOLD, request_id)


def of_timeout(request_id: str) -> web.Response:
    """Answer when a request took longer than `http.request_timeout_s`."""
    detail = "this took too long, and may or may not have been done; with an Idempotency-Key it is safe to repeat"
    return _response(503, "timeout", detail, request_id)


_UNTOLD: Final = "something broke on our side; the log says more under this request_id"


def _response(
    status: int,
    slug: str,
    detail: str,
    request_id: str,
    *,
    errors: list[dict[str, object]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body: dict[str, Any] = {
        "type": TYPES + slug,
        "title": slug.replace("_", " ").capitalize() if slug != "internal" else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    return web.Response(body=orjson.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)


def _errors(error: GatewayError) -> list[dict[str, object]]:
    match error:
        case InvalidRequest(problems=problems):
            return [{"field": each.field, "slug": each.slug, "detail": each.detail} for each in problems]
        case InvalidRecipients(entries=entries):
            return [dict(entry) for entry in entries]
        case BadVariables(problems=by_name):
            return [{"field": f"variables.{name}", "slug": error.slug, "detail": why} for name, why in by_name.items()]
        case BadDialplan(problems=found):
            return [
                {
                    "file": each.file,
                    "line": each.line,
                    "node": each.node,
                    "severity": each.severity,
                    "detail": each.text,
                }
                for each in found
            ]
        case BadRecipients(line=int(line)):
            return [{"line": line, "field": "", "slug": error.slug, "detail": error.why}]
    return []


@contextmanager
def told_at(field: str) -> Iterator[None]:
    """Turn what a core refused into an InvalidRequest that names `field`."""
    try:
        yield
    except MissingVariable as error:
        raise InvalidRequest(FieldProblem(f"variables.{error.name}", error.slug, str(error))) from None
    except BadVariable as error:
        raise InvalidRequest(FieldProblem(error.field, error.slug, error.why)) from None
    except (BadText, BadTemplate, InvalidNumber) as error:
        raise InvalidRequest(FieldProblem(field, error.slug, str(error))) from None
