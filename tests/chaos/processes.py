"""The processes of one trial: started, killed, stopped and let go on; all of them end with the harness."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import libfaketime
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.lifeline import before_exec
from gateway.limits.valkey import _shipped_binary as shipped_valkey
from tests.peers.ports import free_port

HOME = Path(__file__).parents[2]
FAKETIME = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
STARTED_IN_S = 60.0  # on a machine that is busy with other things


def faked_clock(file: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is off by what `file` says; its monotonic clock runs on."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",  # seconds; to read the file at every look at the clock makes all of it slow
    }


class Child:
    """One process that may be killed, stopped and begun again."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self, command: Sequence[str], environ: Mapping[str, str], *, talks: bool) -> None:
        """Begin it; `talks`: its first line is waited for."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "CHAOS_"))}
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                list(command),
                cwd=HOME,
                env={**own, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                preexec_fn=before_exec(signal.SIGKILL),  # noqa: PLW1509  one prctl, libc loaded before
            )

    async def first_line(self) -> dict[str, Any]:
        """What it says when it is ready. Raises RuntimeError where it ends without a word."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTED_IN_S):
            line = await asyncio.to_thread(self.process.stdout.readline)
        if not line:
            raise RuntimeError(f"it ended with {self.process.wait()}; see {self.log}")
        return dict(json.loads(line))

    @property
    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self.process is not None and self.process.poll() is None

    def send(self, signum: int) -> None:
        """Send a signal, if there is anybody to get it."""
        if self.process is not None and self.alive:
            self.process.send_signal(signum)

    async def end(self, signum: int = signal.SIGKILL) -> int:
        """Send a signal that ends it, and wait for that."""
        self.send(signal.SIGCONT)
        self.send(signum)
        return await self.ended()

    async def ended(self, timeout_s: float = 40) -> int:
        """Wait until it has ended by itself. Raises TimeoutError."""
        assert self.process is not None
        async with asyncio.timeout(timeout_s):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.01)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Gateway(Child):
    """A gateway process, with its settings; begun again as often as one likes."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, object]) -> None:
        super().__init__(folder / f"{name}.log")
        self.port = free_port()
        self.data = folder / name
        self.settings = settings
        self.clock = folder / f"{name}.clock"

    @property
    def url(self) -> str:
        """Where it listens, in every life."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, kill: str = "", words: Sequence[str] = ()) -> None:
        """Begin it; `kill` is a step@visit at which it kills itself, which may be before it listens."""
        environ = {f"GATEWAY_{name.replace('.', '__').upper()}": str(value) for name, value in self.settings.items()}
        environ |= {"CHAOS_KILL": kill} | (faked_clock(self.clock) if self.clock.exists() else {})
        command = [sys.executable, "-m", "tests.chaos.gateway", "serve", "--port", str(self.port)]
        self.spawn([*command, "--data-dir", str(self.data), *words], environ, talks=True)
        try:
            await self.first_line()
        except RuntimeError:
            if not kill:
                raise


class Valkey(Child):
    """A Valkey server on a folder and a socket of its own."""

    def __init__(self, folder: Path, clock: Path | None) -> None:
        super().__init__(folder / "valkey.log")
        self.folder = folder / "valkey"
        self.socket = folder / "valkey.sock"
        self.clock = clock

    @property
    def url(self) -> str:
        """What the gateway connects to."""
        return f"unix://{self.socket}"

    async def start(self) -> None:
        """Begin it on what its folder holds, and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        environ = faked_clock(self.clock) if self.clock is not None else {}
        self.spawn([str(shipped_valkey()), *words], environ, talks=False)
        client = self.client()
        async with asyncio.timeout(STARTED_IN_S):
            while not await self._answers(client):
                await asyncio.sleep(0.02)
        await client.aclose()

    def client(self) -> Redis:
        """A connection of one's own."""
        return Redis(unix_socket_path=str(self.socket))

    async def _answers(self, client: Redis) -> bool:
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False


class FarEnd(Child):
    """The practice far end, with its ledger on disk."""

    def __init__(self, folder: Path, token: str, clock: Path | None) -> None:
        super().__init__(folder / "far-end.log")
        self.ledger = folder / "far-end.jsonl"
        self.port = free_port()
        self.sip_port = free_port()
        self.token = token
        self.clock = clock
        self.account = "AC" + "0" * 31 + "1"

    @property
    def url(self) -> str:
        """Where it listens, in every life."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Begin it, with what its ledger holds."""
        options = {
            "port": self.port,
            "sip-port": self.sip_port,
            "pause-ms": 500,
            "auth-token": self.token,
            "account-sid": self.account,
            "report-delay-s": 0.05,
            "ledger-file": self.ledger,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        environ = faked_clock(self.clock) if self.clock is not None else {}
        self.spawn([sys.executable, "-m", "gateway.cli", "simulate", *words], environ, talks=True)
        await self.first_line()
