"""A Kannel in a directory of its own: bearerbox and smsbox with a spool store and one HTTP carrier.

Kannel (Debian's `kannel`) is a peer, installed by whoever wants to compare; where it is missing, `installed` says so.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote_plus
from urllib.request import urlopen

import psutil

_BOXES: Final = ("bearerbox", "smsbox")
_PASSWORD: Final = "practice"  # noqa: S105 - of a process on this machine's loopback
_CONNECTIONS: Final = 16
_CONFIG: Final = """
group = core
admin-port = {admin}
admin-password = {password}
smsbox-port = {box}
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 4
access-log = "/dev/null"
store-type = spool
store-location = "{folder}/spool"
dlr-storage = internal
{core}

group = smsc
smsc = http
smsc-id = stub
system-type = generic
port = {smsc}
smsc-username = stub
smsc-password = {password}
connect-allow-ip = "127.0.0.1"
send-url = "{url}/sms?to=%p&text=%b"
status-success-regex = "Sent"
{carrier}

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
log-file = "{folder}/smsbox.log"
log-level = 4

group = sendsms-user
username = engine
password = {password}

group = sms-service
keyword = stop
text = "You are unsubscribed."
"""


def installed() -> bool:
    """Whether Kannel is on this machine."""
    return all(shutil.which(box) for box in _BOXES)


def _ports(number: int) -> list[int]:
    """Free ports of the loopback, as far as anyone can tell before they are taken."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Kannel:
    """Runs while it is entered. `core` and `carrier` are further lines of those groups."""

    def __init__(self, folder: Path, url: str, *, core: str = "", carrier: str = "") -> None:
        (folder / "spool").mkdir()
        self._file = folder / "kannel.conf"
        self._ports = dict(zip(("admin", "box", "smsc", "send"), _ports(4), strict=True))
        words = {"folder": folder, "url": url, "core": core, "carrier": carrier, "password": _PASSWORD}
        self._file.write_text(_CONFIG.format(**self._ports, **words), encoding="utf-8")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start("bearerbox", "box")
        self.start("smsbox", "send")
        status = f"http://127.0.0.1:{self._ports['admin']}/status.txt?password={_PASSWORD}"
        self._wait(lambda: b"smsbox:" in urlopen(status, timeout=5).read())
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for box in reversed(_BOXES):
            self._running[box].terminate()
        for box in _BOXES:
            try:
                self._running[box].wait(5)
            except subprocess.TimeoutExpired:
                self._running[box].kill()
                self._running[box].wait(5)

    def start(self, box: str, port: str) -> None:
        """Start one box and wait until it listens."""
        self._running[box] = subprocess.Popen(
            [shutil.which(box) or box, str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait(lambda: socket.create_connection(("127.0.0.1", self._ports[port]), 1).close() is None)

    @staticmethod
    def _wait(there: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if there():
                    return
            time.sleep(0.02)
        raise TimeoutError("Kannel does not start")

    def kill_and_restart(self) -> None:
        """End bearerbox as a power cut would end the process, and start all again on the same spool."""
        self._running["bearerbox"].kill()
        self._end()  # smsbox does not outlive it
        self.__enter__()

    @property
    def processes(self) -> list[psutil.Process]:
        """Both boxes."""
        return [psutil.Process(each.pid) for each in self._running.values()]

    async def submit(self, texts: Iterable[tuple[str, str]]) -> list[str]:
        """Hand over (number, body) pairs through smsbox, a few at once. Returns the numbers that it answered 202."""
        todo, taken = iter(texts), []

        async def feed() -> None:
            for number, body in todo:
                path = f"/cgi-bin/sendsms?username=engine&password={_PASSWORD}&from=18005550199"
                path += f"&to={quote_plus(number)}&text={quote_plus(body)}"
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # killed meanwhile: not taken
                    if await self._get("send", path, keep) == 202:
                        taken.append(number)

        keep: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        await asyncio.gather(*(feed() for _ in range(_CONNECTIONS)))
        for _, writer in keep:
            writer.close()
        return taken

    async def say(self, number: str, text: str) -> int:
        """Let somebody text in, as the carrier tells it. Returns the status it was answered with."""
        path = (
            f"/sms?username=stub&password={_PASSWORD}&from={quote_plus(number)}&to=18005550199&text={quote_plus(text)}"
        )
        return await self._get("smsc", path, [])

    async def _get(self, port: str, path: str, keep: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> int:
        """One bare GET over a connection that is kept: what submits must not cost more than what is measured."""
        where = self._ports[port]
        reader, writer = keep.pop() if keep else await asyncio.open_connection("127.0.0.1", where)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{where}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        keep.append((reader, writer))
        return int(head.split(b" ", 2)[1])
