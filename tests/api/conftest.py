"""A whole API on a real socket, over a real database and a real Valkey; every answer is held against /openapi.json."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.api.server import Doors, build
from gateway.clock import new_id, now_ms
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.tenant import SCOPES, ApiKey, Tenant
from gateway.settings import Settings, load
from gateway.speech.prompts import Prompts
from gateway.store import tenants
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.workers.counters import Counters

ROOT = Path(__file__).parents[2]
TOLL_FREE = "+18005550199"
PERSON = "+12125551234"


@dataclass
class Said:
    """One answer."""

    status: int
    headers: Any
    body: Any

    @property
    def slug(self) -> str:
        return str(self.body["type"]).removeprefix("/problems/")

    @property
    def wrong(self) -> dict[str, str]:
        """Field to slug of each entry."""
        return {each["field"]: each["slug"] for each in self.body["errors"]}


class Api:
    """A client with a key, and the doors behind the server."""

    def __init__(self, doors: Doors, client: "TestClient[web.Request, web.Application]") -> None:
        self.doors = doors
        self.client = client
        self.secret = ""
        self.description: dict[str, Any] = {"paths": {}}

    async def key(self, *scopes: str, tenant: str = "acme", mode: str = "live", begins: str = "gwk_") -> str:
        """Make a key and return its secret."""
        secret = f"{begins}{secrets.token_urlsafe(32)}"
        allowed = frozenset(scopes) or SCOPES
        key = ApiKey(new_id("key"), tenant, tenants.fingerprint(secret), allowed, mode, "test", now_ms())

        async def add(tx: Any) -> None:
            await tenants.add_tenant(tx, Tenant(tenant, tenant, now_ms()))
            await tenants.add_key(tx, key)

        await self.doors.database.write(add)
        return secret

    async def ask(self, method: str, path: str, *, secret: str | None = None, **more: Any) -> Said:
        """Ask, and hold the answer against the description."""
        headers = dict(more.pop("headers", {}))
        headers.setdefault("Authorization", f"Bearer {self.secret if secret is None else secret}")
        async with self.client.request(method, path, headers=headers, **more) as response:
            data = await response.read()
            is_json = "json" in response.content_type
            body = orjson.loads(data) if is_json and data else data
            self._check(method, response, body)
            return Said(response.status, response.headers, body)

    async def get(self, path: str, **more: Any) -> Said:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Said:
        return await self.ask("POST", path, json=json, **more)

    async def put(self, path: str, json: Any = None, **more: Any) -> Said:
        return await self.ask("PUT", path, json=json, **more)

    async def sender(self, number: str = TOLL_FREE, **more: Any) -> str:
        """Make a sender."""
        said = await self.put(f"/v1/senders/{number}", {"voice": "twilio", **more})
        assert said.status == 200, said.body
        return number

    def _check(self, method: str, response: ClientResponse, body: Any) -> None:
        route = self._operation(method, response.url.path)
        if route is None:
            return
        told = route["responses"].get(str(response.status), route["responses"]["default"])
        schema = next(iter(told["content"].values()))["schema"] if "content" in told else {}
        if schema:
            _validator(orjson.dumps(schema), orjson.dumps(self.description["components"])).validate(body)

    def _operation(self, method: str, path: str) -> Any:
        parts = path.strip("/").split("/")
        for pattern, operations in self.description["paths"].items():
            wanted = pattern.strip("/").split("/")
            fits = len(parts) == len(wanted) and all(
                mine.startswith("{") or mine == theirs for mine, theirs in zip(wanted, parts, strict=True)
            )
            if fits and method.lower() in operations and parts[:2] != ["oauth", "token"]:
                return operations[method.lower()]
        return None


@lru_cache
def _validator(schema: bytes, components: bytes) -> Any:
    return jsonschema.Draft202012Validator({**orjson.loads(schema), "components": orjson.loads(components)})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a gateway whose data is in a fresh folder."""
    return load(
        None,
        {},
        {
            "data_dir": str(tmp_path / "data"),
            "trunks.main.host": "127.0.0.1",
            "practice.url": "http://127.0.0.1:9",
            "practice.account_sid": "AC" + "0" * 32,
            "practice.auth_token": "practice-token",
            "http.max_body_bytes": 2_000_000,
        },
    )


@pytest.fixture
async def doors(settings: Settings, tmp_path: Path, valkey_url: str) -> AsyncIterator[Doors]:
    """Everything behind the API, real."""
    redis = connect(valkey_url)
    await redis.flushall()
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        gate, profiles = Gate(redis), Profiles.load(ROOT / "config/limits.toml")
        await Counters(gate, database, profiles, Metrics()).begin()
        prompts = Prompts(tmp_path / "prompts", tmp_path / "audio", engines=[])
        yield Doors(settings, database, Signals(), gate, prompts, Metrics(), profiles)
        await prompts.close()
    await redis.aclose()


@pytest.fixture
async def api(doors: Doors) -> AsyncIterator[Api]:
    """The API on a real socket, with a key that may do everything."""
    async with TestClient(TestServer(build(doors))) as client:
        api = Api(doors, client)
        api.secret = await api.key()
        async with client.get("/openapi.json") as response:
            api.description = await response.json()
        yield api
