"""Digest access authentication for SIP: both sides of the challenge (RFC 3261 section 22, RFC 7616, RFC 8760)."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.headers import TOKEN, split_list, unquote_string
from gateway.sip.message import Request, Response

HASHES = {"MD5": "md5", "SHA-256": "sha256"}  # RFC 8760, section 2.1; "-sess" forms of both work too
CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk knows us by. A challenge of another realm than `realm` is left unanswered; None takes any."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate value. `qop` tells whether it wants qop=auth."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    opaque: str | None = None
    qop: bool = True
    stale: bool = False

    def __str__(self) -> str:
        """Write the value for a challenge of our own."""
        opaque = f", opaque={_quote(self.opaque)}" if self.opaque is not None else ""
        qop = ', qop="auth"' if self.qop else ""
        stale = ", stale=true" if self.stale else ""
        head = f"Digest realm={_quote(self.realm)}, nonce={_quote(self.nonce)}"
        return f"{head}, algorithm={self.algorithm}{opaque}{qop}{stale}"


def choose(response: Response, credentials: Credentials) -> Challenge | None:
    """Return the first challenge of a 401 or 407 that we can answer, None where there is none.

    The far end lists the strongest first (RFC 8760, section 2.3). What we cannot read or answer is passed over:
    Basic, unknown algorithms, qop=auth-int alone, another realm than the credentials'.
    """
    name, _ = CHALLENGES[response.status]
    for value in response.values(name):
        try:
            challenge = parse_challenge(value)
        except BadSipMessage:
            continue
        if challenge is not None and credentials.realm in {None, challenge.realm}:
            return challenge
    return None


def parse_challenge(value: str) -> Challenge | None:
    """Read one challenge; None where it is one we cannot answer. Raises BadSipMessage where it is broken."""
    params = _digest_params(value)
    if params is None:
        return None
    algorithm = params.get("algorithm", "MD5")
    qops = {each.strip().lower() for each in params.get("qop", "").split(",") if each.strip()}
    if _hash_name(algorithm) is None or (qops and "auth" not in qops):
        return None
    if "realm" not in params or not params.get("nonce"):
        raise BadSipMessage("a challenge without realm or nonce")
    stale = params.get("stale", "").lower() == "true"
    return Challenge(params["realm"], params["nonce"], algorithm, params.get("opaque"), bool(qops), stale)


def _hash_name(algorithm: str) -> str | None:
    return HASHES.get(algorithm.upper().removesuffix("-SESS"))


def _digest_params(value: str) -> dict[str, str] | None:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    params: dict[str, str] = {}
    for part in split_list(rest):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals or not TOKEN.match(name):
            raise BadSipMessage("an authentication parameter without a value")
        params.setdefault(name.lower(), unquote_string(text))
    return params


def authorize(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, *, cnonce: str, count: int = 1
) -> str:
    """Answer a challenge: the value of Authorization or Proxy-Authorization.

    uri:    the Request-URI of the request that carries it.
    cnonce: a fresh random token, used where qop or a -sess algorithm needs it.
    count:  how many requests carried this nonce, this one included.
    """
    digest = _response(challenge, credentials, method, uri, cnonce, count)
    parts = [
        f"username={_quote(credentials.username)}",
        f"realm={_quote(challenge.realm)}",
        f"nonce={_quote(challenge.nonce)}",
        f"uri={_quote(uri)}",
        f'response="{digest}"',
        f"algorithm={challenge.algorithm}",
    ]
    if challenge.qop:
        parts += ["qop=auth", f"nc={count:08x}"]
    if challenge.qop or challenge.algorithm.upper().endswith("-SESS"):
        parts.append(f"cnonce={_quote(cnonce)}")
    if challenge.opaque is not None:
        parts.append(f"opaque={_quote(challenge.opaque)}")
    return "Digest " + ", ".join(parts)


def verify(request: Request, challenge: Challenge, accounts: Iterable[Credentials]) -> bool:
    """Tell whether a request answers our own challenge rightly for one of the accounts (the server's side).

    Repeats are not looked for: hand out a fresh nonce for each request.
    """
    value = request.get("Authorization") or request.get("Proxy-Authorization")
    try:
        given = _digest_params(value) or {}
    except BadSipMessage:
        return False
    wanted = {"nonce": challenge.nonce, "realm": challenge.realm, "uri": request.uri}
    if any(given.get(name) != text for name, text in wanted.items()):
        return False
    if challenge.qop and (given.get("qop") != "auth" or not re.fullmatch(r"[0-9A-Fa-f]{8}", given.get("nc", ""))):
        return False
    account = next((each for each in accounts if each.username == given.get("username")), None)
    if account is None:
        return False
    count, cnonce = int(given.get("nc", "1"), 16) if challenge.qop else 1, given.get("cnonce", "")
    digest = _response(challenge, account, request.method, request.uri, cnonce, count)
    return hmac.compare_digest(digest.encode(), given.get("response", "").lower().encode("utf-8", "surrogateescape"))


def _response(challenge: Challenge, account: Credentials, method: str, uri: str, cnonce: str, count: int) -> str:
    """Compute the request-digest (RFC 7616, section 3.4.1)."""
    name = _hash_name(challenge.algorithm)
    if name is None:
        raise ValueError(f"unknown digest algorithm {challenge.algorithm!r}")

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    secret = digest(f"{account.username}:{challenge.realm}:{account.password}")
    if challenge.algorithm.upper().endswith("-SESS"):
        secret = digest(f"{secret}:{challenge.nonce}:{cnonce}")
    request = digest(f"{method}:{uri}")
    if not challenge.qop:
        return digest(f"{secret}:{challenge.nonce}:{request}")
    return digest(f"{secret}:{challenge.nonce}:{count:08x}:{cnonce}:auth:{request}")


def _quote(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise UnsafeSipValue("a line break in a value for authentication")
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
