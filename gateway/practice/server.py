"""The process: REST, webhooks and SIP phone on loopback, until told to stop."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gateway.errors.practice import PracticePortTaken
from gateway.practice.admin import Admin, Parts
from gateway.practice.faults import Faults
from gateway.practice.journal import Journal
from gateway.practice.ledger import Ledger
from gateway.practice.options import Options
from gateway.practice.phone import Phone
from gateway.practice.texts import Texts
from gateway.practice.twilio_calls import TwilioCalls
from gateway.practice.twilio_player import Player
from gateway.practice.twilio_rest import TwilioRest
from gateway.practice.webhooks import Webhooks

_PRIORITY = -10  # what this end is for is saying when things arrived


@dataclass(frozen=True, slots=True)
class Running:
    """A far end that listens: where, and its parts."""

    host: str
    port: int
    sip_port: int
    parts: Parts

    @property
    def url(self) -> str:
        """Base URL of the REST side; Twilio's client takes it in place of https://api.twilio.com."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def line(self) -> bytes:
        """Return the JSON line that tells where it listens."""
        options = self.parts.options
        told = {"url": self.url, "port": self.port, "sip": f"{self.host}:{self.sip_port}", "sip_port": self.sip_port}
        return orjson.dumps(told | {"account_sid": options.account_sid}) + b"\n"


class Tasks:
    """The lives of texts and calls: started freely, all ended together."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work`; what it raises is reported by the event loop, since nobody awaits it."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error:
            context = {"message": "the practice far end failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def stop(self) -> None:
        """Cancel all and wait for them."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    """Run a far end inside this process's event loop. Raises PracticePortTaken."""
    faults, tasks = Faults(), Tasks()
    journal = Journal(options.ledger_file)
    ledger = Ledger(rates=options.sender_rates(), journal=journal)
    ledger.restore(journal.lines)
    async with Webhooks(options.auth_token, faults) as webhooks, Phone(options, ledger, tasks.spawn) as phone:
        texts = Texts(options, webhooks, faults, ledger, tasks.spawn)
        texts.restore(journal.lines)
        calls = TwilioCalls(options, webhooks, Player(webhooks, ledger, options.speed), tasks.spawn)
        rest = TwilioRest(options, ledger, texts, calls, faults)
        parts = Parts(options, ledger, faults, texts, calls, rest, webhooks, phone)
        runner = await _listen(options, [*rest.routes(), *Admin(parts).routes()])
        try:
            yield Running(options.host, runner.addresses[0][1], phone.port, parts)
        finally:
            await tasks.stop()
            await runner.cleanup()
            journal.close()


async def _listen(options: Options, routes: list[web.RouteDef]) -> web.AppRunner:
    """Start HTTP. A handler whose client has left is cancelled, so that silent answers do not pile up."""
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PracticePortTaken("TCP", options.host, options.port) from None
    return runner


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Prints one JSON line with the bound ports once it listens.

    Raises: PracticePortTaken.
    """
    with contextlib.suppress(OSError):  # only root may; without it arrivals are stamped later on a busy machine
        os.nice(_PRIORITY)
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running(options) as far_end:
        line = far_end.line()
        if options.ready_file:
            options.ready_file.write_bytes(line)
        print(line.decode(), end="", flush=True)  # noqa: T201  the line is this command's output
        await stop.wait()
