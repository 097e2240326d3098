"""One operation of the API: what it takes and answers, declared once; routing, checks and OpenAPI follow from it.

@operation("POST", "/v1/things", "Make a thing.", scope="things:write", body=NewThing, answers={201: Thing})
async def create(call: Call, body: NewThing) -> Answer: ...
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel

from gateway import steps
from gateway.api import long_list
from gateway.api.auth import Authenticator
from gateway.api.doors import Doors
from gateway.api.inputs import Input, Query, read_json, validated
from gateway.clock import now_ms
from gateway.errors.api import BadIdempotencyKey, BadMediaType, FieldProblem, InvalidRequest
from gateway.model.tenant import ApiKey
from gateway.store import idempotency
from gateway.store.database import Tx

JSON: Final = "application/json"
DOORS: Final = web.AppKey("doors", Doors)
AUTHENTICATOR: Final = web.AppKey("authenticator", Authenticator)

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
MOST_OF_A_FORM: Final = 65_536  # bytes, of who is not known yet: a carrier's webhook has some two thousand
_NOBODY: Final = ApiKey("", "", "", frozenset(), "", "", 0)

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class View(BaseModel):
    """What is answered."""

    def encoded(self) -> bytes:
        """As JSON, under the names the wire has."""
        return self.model_dump_json(by_alias=True).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body. `replayed`: it was given before, to the same Idempotency-Key."""

    status: int
    body: View | bytes
    replayed: bool = False

    def response(self) -> web.Response:
        """As aiohttp sends it."""
        headers = {"Idempotent-Replayed": "true"} if self.replayed else None
        return web.Response(body=self.encoded(), status=self.status, content_type=JSON, headers=headers)

    def encoded(self) -> bytes:
        """The body's bytes."""
        return self.body.encoded() if isinstance(self.body, View) else self.body


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller is known. `repeatable` is set where the request came with an Idempotency-Key."""

    doors: Doors
    request: web.Request
    key: ApiKey
    now_ms: int
    repeatable: idempotency.Request | None = None

    def path(self, name: str) -> str:
        """A part of the address."""
        return self.request.match_info[name]

    async def create(self, work: Callable[[Tx], Awaitable[Answer]]) -> Answer:
        """Run `work` in a transaction, once for each Idempotency-Key; its answer is kept with what it did."""
        steps.reached("accept:before")
        request = self.repeatable
        answer = await self.doors.database.write(work if request is None else self._once(request, work))
        steps.reached("accept:after")
        return answer

    def _once(
        self, request: idempotency.Request, work: Callable[[Tx], Awaitable[Answer]]
    ) -> Callable[[Tx], Awaitable[Answer]]:
        async def once(tx: Tx) -> Answer:
            kept = await idempotency.find(tx, request)
            if kept is not None:
                return Answer(kept.status, kept.answer.encode(), replayed=True)
            answer = await work(tx)
            await idempotency.keep(tx, request, idempotency.Kept(answer.status, answer.encoded().decode()), self.now_ms)
            return answer

        return once

    async def answered_before(self) -> Answer | None:
        """The answer this Idempotency-Key had before. Raises IdempotencyMismatch."""
        request = self.repeatable
        if request is None:
            return None
        kept = await self.doors.database.read(lambda tx: idempotency.find(tx, request))
        return Answer(kept.status, kept.answer.encode(), replayed=True) if kept is not None else None

    def keyed(self, digest: "hashlib._Hash") -> "Call":
        """This call with its Idempotency-Key, if it has one; `digest` has seen the body. Raises BadIdempotencyKey."""
        given = self.request.headers.get("Idempotency-Key")
        if given is None:
            return self
        if not _KEY.fullmatch(given):
            raise BadIdempotencyKey
        digest.update(f"\n{self.request.method} {self.request.raw_path} {self.request.content_type}".encode())
        request = idempotency.Request(self.key.tenant_id, self.key.mode, given, digest.hexdigest())
        return replace(self, repeatable=request)


@dataclass(frozen=True, slots=True)
class Operation:
    """What `operation` declares.

    scope:      what the key must be allowed; None: anyone may ask.
    body:       the JSON body's model.
    takes:      media types of a body that the handler reads by itself, and what each is.
    answers:    status to model; None where the answer is not JSON (`gives` names its media type).
    idempotent: it takes an Idempotency-Key.
    long:       the field of the body that may be a very long list: the handler gets a LongList there.
    streams:    it may answer for as long as the caller listens.
    """

    method: str
    path: str
    summary: str
    handler: Callable[..., Awaitable[Any]]
    scope: str | None
    body: type[Input] | None
    query: type[Query] | None
    takes: Mapping[str, str]
    answers: Mapping[int, type[View] | None]
    gives: str
    idempotent: bool
    long: str
    streams: bool

    @property
    def name(self) -> str:
        """A name for generated clients: `messages_create`."""
        return f"{self.handler.__module__.rpartition('.')[2]}_{self.handler.__name__}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Authenticate, read, check, and hand on to the handler."""
        doors = request.app[DOORS]
        key = await request.app[AUTHENTICATOR].caller(request, self.scope) if self.scope is not None else _NOBODY
        call = Call(doors, request, key, now_ms())
        given: dict[str, Any] = {}
        if self.query is not None:
            given["query"] = validated(self.query, dict(request.query))
        _check_address({"": request.path, **request.query})
        if self.body is not None:
            if request.content_type != JSON:
                raise BadMediaType([JSON])
            data = await body_of(request, doors.settings.http.max_body_bytes)
            if self.idempotent:
                call = call.keyed(hashlib.sha256(data))
                if before := await call.answered_before():
                    return before.response()
            value = await asyncio.to_thread(long_list.read, data, self.long) if self.long else read_json(data)
            given["body"] = validated(self.body, value)
            del data, value  # ten megabytes of a large job, which would be kept until its answer
        answer = await self.handler(call, **given)
        return answer.response() if isinstance(answer, Answer) else answer


def _check_address(parts: Mapping[str, str]) -> None:
    """Refuse what PostgreSQL cannot even look for. Raises InvalidRequest."""
    wrong = [name for name, text in parts.items() if "\x00" in text]
    if wrong:
        raise InvalidRequest(*(FieldProblem(name, "bad_text", "holds the character U+0000") for name in wrong))


async def body_of(request: web.Request, most: int) -> bytes:
    """The whole body. `request.read()` would keep it for as long as the request lives.

    Raises: HTTPRequestEntityTooLarge where it has more than `most` bytes.
    """
    blocks, size = [], 0
    async for block in request.content.iter_any():
        blocks.append(block)
        size += len(block)
        if size > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=size)
    return b"".join(blocks)


OPERATIONS: Final[list[Operation]] = []


def operation(
    method: str,
    path: str,
    summary: str,
    *,
    answers: Mapping[int, type[View] | None],
    scope: str | None,
    body: type[Input] | None = None,
    query: type[Query] | None = None,
    takes: Mapping[str, str] | None = None,
    gives: str = JSON,
    idempotent: bool = False,
    long: str = "",
    streams: bool = False,
) -> Callable[[F], F]:
    """Declare an operation. Its handler is given the Call, and `body` and `query` where it declares them."""

    def declare(handler: F) -> F:
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                summary=summary,
                handler=handler,
                scope=scope,
                body=body,
                query=query,
                takes=takes or {},
                answers=answers,
                gives=gives,
                idempotent=idempotent,
                long=long,
                streams=streams,
            )
        )
        return handler

    return declare
