"""Endpoints on loopback that call each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.net.sip_sockets import Tls
from gateway.sip.events import Answered, Event
from gateway.sip.sdp import Session
from gateway.sip.transaction_table import Timers

HERE = "127.0.0.1"
QUICK = Timers(t1=0.02, t2=0.1, t4=0.1)
OPTIONS = (
    b"OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@asynccontextmanager
async def endpoint(trunk: Trunk, **options: Any) -> AsyncIterator[SipEndpoint]:
    started = SipEndpoint((HERE, 0), trunk, timers=QUICK, **options)
    await started.start()
    try:
        yield started
    finally:
        await started.stop(0.5)


async def events(call: SipCall) -> list[Event]:
    async with asyncio.timeout(5):
        return [event async for event in call.events()]


async def answer(call: SipCall) -> None:
    await call.ring()
    await call.accept(Session(HERE, 41000))
    await events(call)


async def call_and_hang_up(caller: SipEndpoint, **more: Any) -> list[Event]:
    call = await caller.invite("+12125551234", "+18005550199", Session(HERE, 40000), **more)
    told = []
    async with asyncio.timeout(5):
        async for event in call.events():
            told.append(event)
            if isinstance(event, Answered):
                await call.hangup()
    return told


def served(folder: Path) -> Tls:
    return Tls("x", certificate_file=folder / "certificate.pem", key_file=folder / "key.pem", verify=False)
