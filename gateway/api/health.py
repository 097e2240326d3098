"""`/healthz`, `/readyz`, `/metrics`: for those who run the gateway. They tell nothing of any tenant."""

import contextlib
from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.api.operation import Answer, Call, View, operation
from gateway.clock import monotonic
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.metrics import CONTENT_TYPE
from gateway.store.database import Tx

LEAST_FREE_BYTES: Final = 16_000_000  # room to settle what is under way; a full disk accepts nothing
_COUNTED_FOR_S: Final = 5.0  # counting all rows again for every scrape would cost more than it tells
_COUNTED: Final = web.AppKey("counted", dict[str, float])
_COUNTING: Final = {"api", "sms", "voice"}  # roles that need the counters
_OVER: Final = {"sms": "messages", "voice": "calls"}


class Alive(View):
    """The process answers."""

    status: str = "ok"


class Missing(View):
    """One thing that is not there."""

    name: str
    detail: str


class Readiness(View):
    """Whether everything is there that this process needs for its roles."""

    status: str = Field(examples=["ready", "not ready"])
    missing: list[Missing]


@operation("GET", "/healthz", "Does the process answer?", scope=None, answers={200: Alive})
async def alive(_call: Call) -> Answer:
    """Looks at nothing else."""
    return Answer(200, Alive())


@operation(
    "GET",
    "/readyz",
    "Is everything there that this process needs?",
    scope=None,
    answers={200: Readiness, 503: Readiness},
)
async def ready(call: Call) -> Answer:
    """Names what is missing. Requests are accepted all the same as long as the database is there."""
    missing = [Missing(name=name, detail=why) for name, why in call.doors.ready().items()]
    try:
        await call.doors.database.read(lambda tx: tx.value("epoch_now"))
        free = call.doors.database.free_bytes()
        if free is not None and free < LEAST_FREE_BYTES:
            missing.append(Missing(name="disk", detail=f"{free // 1_000_000} MB are left for the database"))
    except StoreUnavailable as error:
        missing.append(Missing(name="database", detail=str(error)))
    if _COUNTING & set(call.doors.settings.roles):
        try:
            await call.doors.gate.ping()
        except RedisAway as error:
            missing.append(Missing(name="redis", detail=str(error)))
    return Answer(503 if missing else 200, Readiness(status="not ready" if missing else "ready", missing=missing))


@operation("GET", "/metrics", "Figures for Prometheus.", scope=None, answers={200: None}, gives="text/plain")
async def metrics(call: Call) -> web.Response:
    """In Prometheus's text format."""
    await _count(call)
    return web.Response(body=call.doors.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def prepare(app: web.Application) -> None:
    """Remember when things were counted."""
    app[_COUNTED] = {"at": 0.0}


async def _count(call: Call) -> None:
    counted = call.request.app[_COUNTED]
    if counted["at"] and monotonic() - counted["at"] < _COUNTED_FOR_S:
        return
    counted["at"] = monotonic()
    with contextlib.suppress(StoreUnavailable):  # all that is not counted in the database is wanted most just then
        await call.doors.database.read(lambda tx: _set_gauges(call, tx))


async def _set_gauges(call: Call, tx: Tx) -> None:
    figures = call.doors.metrics
    for channel, things in _OVER.items():
        for row in await tx.rows(f"{things}_waiting_by_status"):
            figures.waiting.labels(channel, row["status"]).set(row["n"])
    for row in await tx.rows("under_way"):
        figures.waiting.labels(row["channel"], row["status"]).set(row["n"])
    figures.callbacks_waiting.set(await tx.value("events_callbacks_waiting"))
