"""The HTTP face, put together: operations, documentation, health, and what carriers call."""

import hmac
import secrets

from aiohttp import web

from gateway.api import (
    calls,
    deeds,
    dialplans,
    docs,
    events,
    health,
    jobs,
    limits,
    messages,
    oauth,
    opt_outs,
    prompts,
    recordings,
    senders,
    settle,
    templates,
    usage,
)
from gateway.api.auth import Authenticator
from gateway.api.doors import Doors
from gateway.api.middleware import UNTIMED, around
from gateway.api.operation import AUTHENTICATOR, DOORS, OPERATIONS, Operation
from gateway.settings import Settings

__all__ = ["Doors", "build"]

# Importing a resource declares its operations.
_RESOURCES = (
    calls,
    deeds,
    dialplans,
    events,
    health,
    jobs,
    limits,
    messages,
    oauth,
    opt_outs,
    prompts,
    recordings,
    senders,
    settle,
    templates,
    usage,
)


def build(doors: Doors) -> web.Application:
    """Make the application: the API, its documentation and the carriers' webhooks, or without the role health alone."""
    app = web.Application(middlewares=[around], client_max_size=doors.settings.http.max_body_bytes)
    app[DOORS] = doors
    app[AUTHENTICATOR] = Authenticator(
        doors.database, token_key=_token_key(doors.settings), takes_test_keys=bool(doors.settings.practice.url)
    )
    app[UNTIMED] = frozenset(each.path for each in OPERATIONS if each.streams)
    for each in _served(doors):
        app.router.add_route(each.method, each.path, each.serve)
    events.close_with(app)
    health.prepare(app)
    if "api" in doors.settings.roles:
        docs.add_routes(app)
        app.add_routes(doors.webhooks)
    return app


def _token_key(settings: Settings) -> bytes:
    """What tokens are sealed with. Without a secret that others share it is this process's own, and ends with it."""
    shared = settings.callbacks.secret.get_secret_value()
    return hmac.digest(shared.encode(), b"tokens", "sha256") if shared else secrets.token_bytes(32)


def _served(doors: Doors) -> list[Operation]:
    """All operations; a process without the role `api` tells only how it is."""
    if "api" in doors.settings.roles:
        return OPERATIONS
    return [each for each in OPERATIONS if each.handler.__module__ == health.__name__]
