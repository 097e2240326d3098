"""A far end of RTP: one plain socket."""

import asyncio
import contextlib
import os
import socket
from typing import Any

from gateway.media import rtp
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_stream import RtpStream

HERE = "127.0.0.1"


def free_base() -> int:
    """An even port with three free ones behind it, outside the range that the system hands out by itself.

    Tests run side by side: each process of them begins its search elsewhere.
    """
    for base in range(12000 + 200 * (os.getpid() % 80), 30000, 10):
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + 4):
                    held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((HERE, port))
            except OSError:
                continue
            return base
    raise AssertionError("no four ports are free")


class FarEnd:
    """A telephone of a plain socket: it keeps every packet and sends what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HERE, port))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self._sequence = 0

    async def hear(self, packets: int) -> list[rtp.Packet]:
        loop = asyncio.get_running_loop()
        return [rtp.parse(await loop.sock_recv(self.socket, 2048)) for _ in range(packets)]

    def say(self, port: int, payload: bytes, *, payload_type: int = 0, timestamp: int | None = None) -> None:
        self._sequence += 1
        at = self._sequence * 160 if timestamp is None else timestamp
        packet = rtp.Packet(payload_type, self._sequence, at, 77, marker=False, payload=payload)
        self.socket.sendto(rtp.build(packet), (HERE, port))


async def calling(engine: RtpEngine, far: FarEnd, **changes: Any) -> RtpStream:
    stream = await engine.open()
    stream.connect(HERE, far.port, **{"payload_type": 0, "event_payload_type": 101, **changes})
    return stream


async def first(stream: RtpStream, kind: type) -> Any:
    async with asyncio.timeout(10):
        async for event in stream.events():
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the events ended without a {kind.__name__}")
