"""Delivers events to the engine: signed, at least once, retried with growing waits, never in the way of anything."""

import asyncio
import contextlib
import hashlib
import hmac
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Any, Final

import orjson
import structlog

from gateway import steps
from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.metrics import Metrics
from gateway.net.http_client import Attempt, HttpClient, PrivateAddressError
from gateway.settings import Callbacks
from gateway.store import events
from gateway.store.database import Database, Row, Tx
from gateway.store.events import view
from gateway.store.signals import Signals
from gateway.workers.callback_shares import CONNECTIONS, Shares

_TENANTS: Final = 16  # whose callbacks are begun in one look
_IDLE_S: Final = 1.0
_REST_S: Final = 0.05  # after a look that found nothing: a broadcast's commits have events, mostly nobody's
_CLAIM_MORE_S: Final = 5.0  # to note what came of a delivery
_GLANCE_S: Final = 0.1  # while deliveries are under way
_SILENT: Final = TimeoutError.__name__
_dice = SystemRandom()
_log = structlog.get_logger(__name__)


def sign(secret: str, at_s: int, body: bytes) -> str:
    """The `Gateway-Signature` of a callback: `t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<body>">`.

    The receiver computes the same, compares in constant time, and refuses a `t` older than it likes.
    """
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


@dataclass(frozen=True, slots=True)
class CallbackSender:
    """Drains the events that an engine asked to be told of. `http` makes CONNECTIONS requests at once."""

    database: Database
    signals: Signals
    http: HttpClient
    settings: Callbacks
    secret: str
    metrics: Metrics
    _shares: Shares = field(default_factory=Shares)

    async def run(self) -> None:
        """Deliver until cancelled. What was under way then is delivered again, by whoever comes first."""
        woken = self.signals.listen("events")
        under_way: dict[asyncio.Task[str], Row] = {}
        try:
            while True:
                if await self._start_due(under_way):
                    continue  # maybe more is due, for others
                if not under_way:
                    await asyncio.sleep(_REST_S)
                    await woken.wait(_IDLE_S)
                    continue
                await asyncio.wait(under_way, timeout=_GLANCE_S, return_when=asyncio.FIRST_COMPLETED)
                done = [task for task in under_way if task.done()]
                steps.reached("callback:after")
                results = tuple((under_way[task], task.result()) for task in done)
                await self.database.aside(partial(self._note, done=results))
                for task in done:
                    del under_way[task]
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            if seqs := [row["seq"] for row in under_way.values()]:
                with contextlib.suppress(StoreUnavailable):  # then they are due again when the claim ends
                    await self.database.aside(lambda tx: tx.run("events_unclaim", seqs=seqs, now_ms=now_ms()))

    async def _start_due(self, under_way: dict[asyncio.Task[str], Row]) -> int:
        """Start what is due, each tenant's up to its share. Returns how many were started."""
        if not (free := CONNECTIONS - len(under_way)):
            return 0
        by_tenant: defaultdict[str, list[int]] = defaultdict(list)
        for row in under_way.values():
            by_tenant[row["tenant_id"]].append(row["seq"])

        def share(tenant_id: str) -> int:
            return self._shares.of(tenant_id, len(by_tenant[tenant_id]), free)

        due = []
        for row in await self.database.read(lambda tx: events.due(tx, now_ms(), by_tenant, share, _TENANTS)):
            if free and len(by_tenant[row["tenant_id"]]) < share(row["tenant_id"]):
                by_tenant[row["tenant_id"]].append(row["seq"])
                free -= 1
                due.append(row)
        if not due:
            return 0
        claimed = await self.database.aside(lambda tx: self._claim(tx, [row["seq"] for row in due]))
        for row in due:
            if row["seq"] in claimed:
                under_way[asyncio.create_task(self._deliver(row))] = row
        return len(claimed)

    async def _claim(self, tx: Tx, seqs: list[int]) -> set[int]:
        """Keep other processes from delivering these too, for as long as that may take. Returns what they left us."""
        now = now_ms()
        until_ms = now + int((self.settings.timeout_s + _CLAIM_MORE_S) * 1000)
        return {row["seq"] for row in await tx.rows("events_claim", seqs=seqs, now_ms=now, until_ms=until_ms)}

    async def _deliver(self, row: Row) -> str:
        """Post one event. Returns "" when the engine took it, else what went wrong."""
        steps.reached("callback:before")
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                status = await self._post(row)
        except PrivateAddressError:
            return "private_address"
        except (OSError, TimeoutError, ValueError) as error:
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - one event that cannot be told must not keep all others back
            _log.exception("callback_broke", seq=row["seq"], error=repr(error))
            return "internal"
        return "" if 200 <= status < 300 else f"http_{status}"

    async def _post(self, row: Row) -> int:
        """Returns the engine's status."""
        body = orjson.dumps(view(row))
        headers = {
            "Content-Type": "application/json",
            "Gateway-Event": str(row["seq"]),
            "Gateway-Signature": sign(self.secret, now_ms() // 1000, body),
        }
        answer = await self.http.request(
            "POST", row["callback_url"], Attempt(), timeout_s=self.settings.timeout_s, data=body, headers=headers
        )
        return answer.status

    async def _note(self, tx: Tx, done: tuple[tuple[Row, str], ...]) -> None:
        now = now_ms()
        for row, error in done:
            (self._shares.hung if error == _SILENT else self._shares.answered)(row["tenant_id"])
            if not error:
                self.metrics.callbacks.labels("delivered").inc()
                await tx.run("events_delivered", seq=row["seq"], now_ms=now)
                continue
            due_ms = self._next_try(row, now)
            self.metrics.callbacks.labels("given_up" if due_ms is None else "retried").inc()
            _log.warning("callback_failed", seq=row["seq"], error=error, gives_up=due_ms is None)
            await tx.run("events_postponed", seq=row["seq"], due_ms=due_ms, error=error)

    def _next_try(self, row: Any, now: int) -> int | None:
        tried = int(row["callback_attempts"]) + 1
        if tried >= self.settings.attempts:
            return None
        wait_s = min(self.settings.first_retry_s * 2 ** (tried - 1), self.settings.max_retry_s)
        return now + int(wait_s * 1000 * _dice.uniform(0.8, 1.2))
