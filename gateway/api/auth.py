"""Who calls: API keys and the short-lived tokens they can be exchanged for (RFC 6749, section 4.4).

A key is looked up by the SHA-256 of its 256 random bits, so timing tells nothing about it. What was found, or not,
is remembered for two seconds; a revocation takes effect within that time. A token says by itself whose it is, what it
may do and until when, under a seal of ours: every process that shares the secret knows it.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_plus

import orjson
from aiohttp import web

from gateway.clock import monotonic, now_ms
from gateway.errors.api import MissingScope, Unauthorized
from gateway.model.tenant import ApiKey
from gateway.store import tenants
from gateway.store.database import Database

TOKEN_S: Final = 3600
_REMEMBERED_S: Final = 2.0
_MOST_REMEMBERED: Final = 10_000
_LONGEST_TOKEN: Final = 2_000
_TOKEN_PREFIX: Final = "gwk_t_"  # noqa: S105 - how a token is known and cut out of logs; no token itself


_SEAL_CHARS: Final = 43  # of 32 bytes in unpadded base64


@dataclass(frozen=True, slots=True)
class _Token:
    fingerprint: str  # of the key it came from: a revoked key ends its tokens
    scopes: frozenset[str]
    ends_ms: int


class Authenticator:
    """Knows callers by their `Authorization` header.

    token_key:       what tokens are sealed with; processes that have the same know each other's tokens.
    takes_test_keys: whether there is a far end to practise on; without one a test key reaches nothing.
    """

    def __init__(self, database: Database, *, token_key: bytes, takes_test_keys: bool) -> None:
        self._database = database
        self._token_key = token_key
        self._takes_test_keys = takes_test_keys
        self._known_keys: dict[str, tuple[ApiKey, float]] = {}
        self._unknown: dict[str, float] = {}
        self._strangers = asyncio.Semaphore(1)  # who tries keys takes one reader of the database, not all

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
        key = await self._key(tenants.fingerprint(secret)) if secret else None
        if key is None or not secrets.compare_digest(key.id.encode(), client.encode()):
            return None
        wanted = frozenset(form.get("scope", "").split()) or key.scopes
        for scope in sorted(wanted):
            if not key.allows(scope):
                raise MissingScope(scope)
        return self._seal(_Token(key.sha256, wanted, now_ms() + TOKEN_S * 1000)), wanted

    async def _known(self, secret: str) -> ApiKey | None:
        if not secret.isascii():
            return None  # no key or token of ours: bytes that are no text would not even be looked for
        token = self._unseal(secret) if secret.startswith(_TOKEN_PREFIX) else None
        if token is None:  # one key in 4,096 begins as tokens do
            return await self._key(tenants.fingerprint(secret))
        if token.ends_ms <= now_ms():
            return None
        key = await self._key(token.fingerprint)
        return replace(key, scopes=token.scopes) if key is not None else None

    async def _key(self, fingerprint: str) -> ApiKey | None:
        now = monotonic()
        known = self._known_keys.get(fingerprint)
        if known is not None:
            return known[0] if known[1] > now else await self._look(fingerprint)
        if self._unknown.get(fingerprint, 0.0) > now:
            return None
        async with self._strangers:
            return await self._look(fingerprint)

    async def _look(self, fingerprint: str) -> ApiKey | None:
        key = await self._database.read(lambda tx: tenants.key_of(tx, fingerprint))
        until = monotonic() + _REMEMBERED_S
        if key is not None:
            self._known_keys[fingerprint] = key, until
            return key
        self._known_keys.pop(fingerprint, None)
        if len(self._unknown) >= _MOST_REMEMBERED:
            self._unknown.clear()  # somebody tries keys
        self._unknown[fingerprint] = until
        return None

    # --- tokens

    def _seal(self, token: _Token) -> str:
        said = _encoded(orjson.dumps([token.fingerprint, " ".join(sorted(token.scopes)), token.ends_ms]))
        return _TOKEN_PREFIX + said + self._seal_of(said)

    def _unseal(self, text: str) -> _Token | None:
        """The token, if we sealed it."""
        said, seal = text[len(_TOKEN_PREFIX) : -_SEAL_CHARS], text[-_SEAL_CHARS:]
        if len(text) > _LONGEST_TOKEN or not hmac.compare_digest(self._seal_of(said).encode(), seal.encode()):
            return None
        fingerprint, scopes, ends_ms = orjson.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        return _Token(fingerprint, frozenset(scopes.split()), ends_ms)

    def _seal_of(self, said: str) -> str:
        return _encoded(hmac.digest(self._token_key, said.encode(), "sha256"))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _credentials(form: Mapping[str, str], header: str) -> tuple[str, str]:
    """Client id and secret, from the Basic header or the form (RFC 6749, section 2.3.1)."""
    kind, _, given = header.partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # no base64, or not of a text
        return "", ""
    return unquote_plus(client), unquote_plus(secret)
