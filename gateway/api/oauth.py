"""`POST /oauth/token`: a short-lived token for a key's id and secret (RFC 6749, sections 4.4 and 5)."""

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.api.auth import TOKEN_S
from gateway.api.operation import AUTHENTICATOR, MOST_OF_A_FORM, Answer, Call, View, body_of, operation
from gateway.errors.api import BadMediaType, MissingScope

_FORM: Final = "application/x-www-form-urlencoded"  # in UTF-8, whatever charset it names (RFC 6749, appendix B)
_MAX_FIELDS: Final = 100


class Token(View):
    """A token, good for an hour and as long as its key, in every process that has the same `callbacks.secret`.

    Without such a secret it ends with this process.
    """

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a word of RFC 6749
    expires_in: int
    scope: str


@operation(
    "POST",
    "/oauth/token",
    "Exchange a key for a token.",
    scope=None,
    takes={_FORM: "grant_type=client_credentials, client_id (the key's id) and client_secret (the key), scope?"},
    answers={200: Token},
)
async def token(call: Call) -> Answer | web.Response:
    """The id and secret may stand in a Basic `Authorization` header instead. Errors are RFC 6749's, section 5.2."""
    if call.request.content_type != _FORM:
        raise BadMediaType([_FORM])
    try:
        body = (await body_of(call.request, MOST_OF_A_FORM)).decode()
        form = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return web.json_response({"error": "invalid_request"}, status=400)
    if form.get("grant_type") != "client_credentials":
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    header = call.request.headers.get("Authorization", "")
    try:
        made = await call.request.app[AUTHENTICATOR].exchange(form, header)
    except MissingScope:
        return web.json_response({"error": "invalid_scope"}, status=400)
    if made is None:
        challenge = {"WWW-Authenticate": "Basic"} if header else {}
        return web.json_response({"error": "invalid_client"}, status=401, headers=challenge)
    secret, scopes = made
    return Answer(200, Token(access_token=secret, expires_in=TOKEN_S, scope=" ".join(sorted(scopes))))
