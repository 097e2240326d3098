"""A client of the gateway's own HTTP API, for the command line and the demo.

async with Client("http://127.0.0.1:8080", key) as client:
    job = await client.post("/v1/jobs", {...}, idempotency_key=clock.new_id("idem"))
"""

import json
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp

from gateway.errors.cli import GatewayUnreachable, RequestRefused

Json = dict[str, Any]

_TIMEOUT_S = 120.0  # 100,000 recipients are taken in one request


class Client:
    """One tenant's access. `url` is where the gateway listens; `key` an API key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str | int) -> Json:
        """GET; returns the JSON object. Raises GatewayUnreachable, RequestRefused."""
        return await self._asked("GET", path, params=query)

    async def every(self, path: str, **query: str) -> list[Json]:
        """All items of a list, page by page. Raises GatewayUnreachable, RequestRefused."""
        found: list[Json] = []
        cursor = ""
        while True:
            page = await self.get(path, **query, **({"cursor": cursor} if cursor else {}), limit=200)
            found += page["items"]
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return found

    async def past_events(self, after: int = 0, **query: str) -> list[Json]:
        """Every event numbered above `after` that has happened. Raises GatewayUnreachable, RequestRefused."""
        found: list[Json] = []
        while True:
            page = await self.get("/v1/events", after=after, limit=200, **query)
            found += page["items"]
            if len(page["items"]) < 200:
                return found
            after = int(found[-1]["seq"])

    async def put(self, path: str, body: Mapping[str, Any] | bytes, kind: str = "application/json") -> Json:
        """PUT an object as JSON, or bytes of another media type. Raises GatewayUnreachable, RequestRefused."""
        return await self._asked("PUT", path, data=_bytes(body), headers={"Content-Type": kind})

    async def delete(self, path: str) -> Json:
        """Take something away; returns what it was."""
        return await self._asked("DELETE", path)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | bytes,
        kind: str = "application/json",
        *,
        idempotency_key: str = "",
        **query: str,
    ) -> Json:
        """POST as `put` does. With the same `idempotency_key` twice it creates once."""
        headers = {"Content-Type": kind} | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        return await self._asked("POST", path, data=_bytes(body), headers=headers, params=query)

    async def events(self, after: int, **query: str) -> AsyncIterator[Json]:
        """Every event numbered above `after`, as they happen, without an end but the server's.

        Raises: GatewayUnreachable, also when the stream breaks; ask again after the last `seq`.
        """
        params = {"after": str(after), **query}
        headers = {"Accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S)
        try:
            async with self._open.get(
                self._url + "/v1/events", params=params, headers=headers, timeout=timeout
            ) as answer:
                await _refuse(answer)
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        yield json.loads(line.removeprefix(b"data:"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("not open")
        return self._session

    async def _asked(self, method: str, path: str, **options: Any) -> Json:
        try:
            async with self._open.request(method, self._url + path, **options) as answer:
                await _refuse(answer)
                found: Json = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> GatewayUnreachable:
        return GatewayUnreachable(self._url, _why(error))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "an address begins with http:// or https://"
    return str(error) or type(error).__name__


def _bytes(body: Mapping[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def _refuse(answer: aiohttp.ClientResponse) -> None:
    """Raise RequestRefused for a problem+json (RFC 9457): its detail, then a line for each field."""
    if answer.status < 400:
        return
    try:
        problem = await answer.json(content_type=None)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        raise RequestRefused(answer.status, "", f"{answer.status} {answer.reason}")
    head = str(problem.get("detail") or problem.get("title") or f"{answer.status} {answer.reason}")
    told = [each for each in problem.get("errors", ()) if isinstance(each, dict)]
    fields = [f"  {_place(each)}{each.get('detail')}" for each in told if str(each.get("detail")) not in head]
    kind = str(problem.get("type", "")).rpartition("/")[2]
    raise RequestRefused(answer.status, kind, "\n".join([head, *fields]), told)


def _place(entry: Mapping[str, Any]) -> str:
    line = f"line {entry['line']}: " if "line" in entry else ""
    return line + (f"{entry['field']}: " if entry.get("field") else "")
