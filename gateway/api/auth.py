"""Who calls: API keys and the short-lived tokens they can be exchanged for (RFC 6749, section 4.4).

A key is looked up by the SHA-256 of its 256 random bits, so timing tells nothing about it. What was found, or not,
is remembered for two seconds; a revocation takes effect within that time.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from gateway.clock import monotonic
from gateway.errors import MissingScope, Unauthorized
from gateway.model.tenant import ApiKey
from gateway.store import tenants
from gateway.store.database import Database

TOKEN_S: Final = 3600
_REMEMBERED_S: Final = 2.0
_MOST_REMEMBERED: Final = 10_000
_MOST_TOKENS: Final = 10_000
_TOKEN_PREFIX: Final = "gwk_t_"  # noqa: S105 - how a token is known and cut out of logs; no token itself


@dataclass(frozen=True, slots=True)
class _Token:
    secret: str  # of the key it came from; only in memory, so that a revoked key ends its tokens
    scopes: frozenset[str]
    ends: float


class Authenticator:
    """Knows callers by their `Authorization` header. Tokens live in this process and end with it.

    takes_test_keys: whether there is a far end to practise on; without one a test key reaches nothing.
    """

    def __init__(self, database: Database, *, takes_test_keys: bool) -> None:
        self._database = database
        self._takes_test_keys = takes_test_keys
        self._remembered: dict[str, tuple[ApiKey | None, float]] = {}
        self._tokens: dict[str, _Token] = {}

    async def caller(self, request: web.Request, scope: str) -> ApiKey:
        """The key of this request, if it may do `scope`. Raises Unauthorized, MissingScope."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise Unauthorized("give an API key in the header: Authorization: Bearer gwk_…")
        key = await self._known(secret.strip())
        if key is None:
            raise Unauthorized("this API key is unknown, revoked or expired")
        if key.mode == "test" and not self._takes_test_keys:
            raise Unauthorized("test keys reach only the practice far end, and none is set (practice.url)")
        if not key.allows(scope):
            raise MissingScope(scope)
        return key

    async def exchange(self, form: Mapping[str, str], header: str) -> tuple[str, frozenset[str]] | None:
        """A token and its scopes for a key's id and secret; None when they do not fit. Raises MissingScope."""
        client, secret = _credentials(form, header)
        key = await self._key(secret) if secret else None
        if key is None or not secrets.compare_digest(key.id.encode(), client.encode()):
            return None
        wanted = frozenset(form.get("scope", "").split()) or key.scopes
        for scope in sorted(wanted):
            if not key.allows(scope):
                raise MissingScope(scope)
        self._forget_ended()
        token = _TOKEN_PREFIX + secrets.token_urlsafe(32)
        self._tokens[tenants.fingerprint(token)] = _Token(secret, wanted, monotonic() + TOKEN_S)
        return token, wanted

    async def _known(self, secret: str) -> ApiKey | None:
        token = self._tokens.get(tenants.fingerprint(secret)) if secret.startswith(_TOKEN_PREFIX) else None
        if token is None:
            return await self._key(secret)
        key = await self._key(token.secret) if token.ends > monotonic() else None
        return replace(key, scopes=token.scopes) if key is not None else None

    async def _key(self, secret: str) -> ApiKey | None:
        fingerprint, now = tenants.fingerprint(secret), monotonic()
        found, until = self._remembered.get(fingerprint, (None, 0.0))
        if until > now:
            return found
        key = await self._database.read(lambda tx: tenants.key_of(tx, secret))
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()  # somebody tries keys; the true ones are looked up again
        self._remembered[fingerprint] = (key, now + _REMEMBERED_S)
        return key

    def _forget_ended(self) -> None:
        now = monotonic()
        for name in [name for name, token in self._tokens.items() if token.ends <= now]:
            del self._tokens[name]
        while len(self._tokens) >= _MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]


def _credentials(form: Mapping[str, str], header: str) -> tuple[str, str]:
    """Client id and secret, from the Basic header or the form (RFC 6749, section 2.3.1)."""
    kind, _, given = header.partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client), unquote_plus(secret)
