"""Who may do what: keys, scopes, tokens, revocation."""

import asyncio
import base64
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from gateway.api import auth
from gateway.api.operation import AUTHENTICATOR
from gateway.api.server import Doors, build
from gateway.clock import now_ms
from gateway.errors.api import Unauthorized
from gateway.model.tenant import SCOPES
from gateway.settings_accounts import Practice
from gateway.store import tenants
from gateway.store.database import Database
from tests.api.conftest import Api

# A request a scope: what a key needs and nothing less will do.
REQUESTS = [
    ("messages:write", "POST", "/v1/messages"),
    ("messages:read", "GET", "/v1/messages"),
    ("calls:write", "POST", "/v1/calls"),
    ("calls:read", "GET", "/v1/calls"),
    ("jobs:write", "POST", "/v1/jobs"),
    ("jobs:read", "GET", "/v1/jobs"),
    ("senders:admin", "GET", "/v1/senders"),
    ("dialplans:admin", "GET", "/v1/dialplans"),
    ("optouts:admin", "GET", "/v1/opt-outs"),
    ("reports:read", "GET", "/v1/events"),
]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer gwk_wrong", "Basic Z3drOng=", "gwk_wrong"])
async def test_without_a_good_key_nothing_is_told(api: Api, header: str) -> None:
    said = await api.get("/v1/messages", headers={"Authorization": header})

    assert (said.status, said.slug) == (401, "unauthorized")
    assert said.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_that_begins_as_tokens_do_is_a_key(api: Api) -> None:
    """One secret in 4,096 does, by chance."""
    said = await api.get("/v1/messages", secret=await api.key("messages:read", begins="gwk_t_"))

    assert said.status == 200


async def ask_in_bytes(api: Api, request: bytes) -> bytes:
    """Send a request as it stands; returns the first line of the answer."""
    reader, writer = await asyncio.open_connection(api.client.server.host, api.client.server.port)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize("key", [b"\xff\xfe", b"gwk_t_\xff\xfe", b"gwk_t_" + b"\xff" * 60])
async def test_a_key_of_bytes_that_are_no_text_is_an_unknown_one(api: Api, key: bytes) -> None:
    said = await ask_in_bytes(
        api, b"GET /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + b"\r\n\r\n"
    )

    assert said.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("form", "charset", "status"), [(b"client_secret=\xff", b"utf-8", b"400"), (b"grant_type=x", b"none-such", b"400")]
)
async def test_a_form_that_is_no_text_is_told_as_such(api: Api, form: bytes, charset: bytes, status: bytes) -> None:
    kind = b"Content-Type: application/x-www-form-urlencoded; charset=" + charset
    length = b"Content-Length: %d" % len(form)
    said = await ask_in_bytes(api, b"\r\n".join([b"POST /oauth/token HTTP/1.1", b"Host: x", kind, length, b"", form]))

    assert said.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("scope", "method", "path"), REQUESTS)
async def test_each_scope_opens_its_own_door_and_no_other(api: Api, scope: str, method: str, path: str) -> None:
    fits = await api.key(scope)
    lacks = await api.key(*(SCOPES - {scope}))

    assert (await api.ask(method, path, secret=fits, json={} if method == "POST" else None)).status in {200, 422}
    said = await api.ask(method, path, secret=lacks, json={} if method == "POST" else None)
    assert (said.status, said.slug, scope in said.body["detail"]) == (403, "missing_scope", True)


async def test_a_star_stands_for_all_scopes_of_its_kind(api: Api) -> None:
    key = await api.key("jobs:*")

    assert (await api.get("/v1/jobs", secret=key)).status == 200
    assert (await api.get("/v1/messages", secret=key)).status == 403


async def test_every_operation_but_health_and_tokens_asks_for_a_key(api: Api) -> None:
    for path, operations in api.description["paths"].items():
        for method in operations:
            if path in {"/healthz", "/readyz", "/metrics", "/oauth/token"}:
                continue
            said = await api.ask(method.upper(), path.replace("{", "").replace("}", ""), secret="gwk_none")
            assert said.status == 401, (method, path)


async def test_a_test_key_is_refused_where_there_is_nothing_to_practise_on(doors: Doors) -> None:
    settings = doors.settings.model_copy(update={"practice": Practice()})
    parts = {name: getattr(doors, name) for name in Doors.__slots__} | {"settings": settings}
    async with TestClient(TestServer(build(Doors(**parts)))) as client:
        api = Api(doors, client)
        assert (await api.get("/v1/messages", secret=await api.key(mode="live"))).status == 200
        said = await api.get("/v1/messages", secret=await api.key(mode="test"))

    assert (said.status, "practice.url" in said.body["detail"]) == (401, True)


async def revoke(api: Api, secret: str) -> None:
    async def work(tx: Any) -> None:
        key = await tenants.key_of(tx, tenants.fingerprint(secret))
        assert key is not None
        assert await tenants.revoke_key(tx, key.id, now_ms())

    await api.doors.database.write(work)


async def test_a_revoked_key_is_refused_once_what_was_remembered_has_aged(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth, "monotonic", lambda: now[0])
    key = await api.key()
    assert (await api.get("/v1/messages", secret=key)).status == 200

    await revoke(api, key)
    now[0] += 2.1

    assert (await api.get("/v1/messages", secret=key)).status == 401


class Counted:
    """A database that notes how many read at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reading = self.most = 0

    async def read(self, work: Any) -> Any:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            return await self.database.read(work)
        finally:
            self.reading -= 1


async def test_who_tries_keys_takes_one_reader_of_the_database_and_no_known_key_is_forgotten_for_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_MOST_REMEMBERED", 3)
    monkeypatch.setattr(auth, "_REMEMBERED_S", 600.0)
    counted = Counted(api.doors.database)
    monkeypatch.setattr(api.client.app[AUTHENTICATOR], "_database", counted)
    key = await api.key()
    assert (await api.get("/v1/messages", secret=key)).status == 200

    tried = await asyncio.gather(*(api.get("/v1/messages", secret=f"gwk_{number}") for number in range(20)))
    await revoke(api, key)

    assert ({said.status for said in tried}, counted.most) == ({401}, 1)
    assert (await api.get("/v1/messages", secret=key)).status == 200  # as remembered


async def key_id(api: Api, secret: str) -> str:
    key = await api.doors.database.read(lambda tx: tenants.key_of(tx, tenants.fingerprint(secret)))
    assert key is not None
    return key.id


async def test_a_key_can_be_exchanged_for_a_token_that_may_do_less(api: Api) -> None:
    secret = await api.key("messages:read", "jobs:*")
    client = await key_id(api, secret)

    made = await api.ask(
        "POST",
        "/oauth/token",
        data={"grant_type": "client_credentials", "scope": "messages:read"},
        headers={"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()},
    )

    assert made.status == 200
    assert (made.body["token_type"], made.body["expires_in"], made.body["scope"]) == ("Bearer", 3600, "messages:read")
    assert (await api.get("/v1/messages", secret=made.body["access_token"])).status == 200
    assert (await api.get("/v1/jobs", secret=made.body["access_token"])).status == 403


async def test_a_token_ends_after_an_hour_and_with_its_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth, "monotonic", lambda: now[0])
    monkeypatch.setattr(auth, "now_ms", lambda: int(now[0] * 1000))
    secret = await api.key()
    form = {"grant_type": "client_credentials", "client_id": await key_id(api, secret), "client_secret": secret}
    first = (await api.ask("POST", "/oauth/token", data=form)).body["access_token"]
    now[0] += 3601
    assert (await api.get("/v1/messages", secret=first)).status == 401

    second = (await api.ask("POST", "/oauth/token", data=form)).body["access_token"]
    assert (await api.get("/v1/messages", secret=second)).status == 200
    await revoke(api, secret)
    now[0] += 2.1
    assert (await api.get("/v1/messages", secret=second)).status == 401


async def test_a_token_is_known_to_every_process_with_the_secret_and_none_can_be_made_without_it(api: Api) -> None:
    secret = await api.key("messages:read")
    form = {"client_id": await key_id(api, secret), "client_secret": secret}

    def process(secret: bytes) -> auth.Authenticator:
        return auth.Authenticator(api.doors.database, token_key=secret, takes_test_keys=False)

    async def allowed(token: str, secret: bytes) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            await process(secret).caller(make_mocked_request("GET", "/", headers), "messages:read")
        except Unauthorized:
            return False
        return True

    made = await process(b"ours").exchange(form, "")
    assert made is not None
    token, _ = made
    assert await allowed(token, b"ours")
    assert not await allowed(token, b"another's")
    swapped = "A" if token[12] != "A" else "B"
    assert not await allowed(token[:12] + swapped + token[13:], b"ours")
    assert not await allowed(token[:20], b"ours")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_secret": "gwk_wrong"}, 401, "invalid_client"),
        ({"client_id": "key_wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"scope": "senders:admin"}, 400, "invalid_scope"),
    ],
)
async def test_no_token_for_who_does_not_fit(api: Api, changes: dict[str, str], status: int, error: str) -> None:
    secret = await api.key("messages:read")
    form = {"grant_type": "client_credentials", "client_id": await key_id(api, secret), "client_secret": secret}

    said = await api.ask("POST", "/oauth/token", data=form | changes)

    assert (said.status, said.body) == (status, {"error": error})


async def test_a_broken_basic_header_is_refused(api: Api) -> None:
    for given in ("Basic !!!", "Basic é", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Basic"):
        said = await api.ask(
            "POST",
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": given},
        )
        assert (said.status, said.headers["WWW-Authenticate"]) == (401, "Basic")
