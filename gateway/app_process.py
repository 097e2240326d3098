"""What a gateway process settles with its system: files, garbage, its port, its data directory, its secrets."""

import contextlib
import fcntl
import gc
import os
import resource
import secrets
import socket
from pathlib import Path
from typing import Any, Final

from gateway.errors.app import DataDirInUse, PortTaken

_OPEN_FILES: Final = 65_536
_GARBAGE_AFTER: Final = 10_000  # objects; Python's 700 come together in a millisecond of sending


def raise_file_limit() -> None:
    """Have as many open files as the system lets us: each text that a carrier has not answered for holds a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_loaded_alone() -> None:
    """Look for garbage less often, and never again among the modules and what else was made until now.

    A fifth of a sending process's time went into looking: nearly all it makes is freed without that.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER, 10, 10)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise PortTaken(host, port, os.strerror(error.errno) if error.errno else str(error)) from None


@contextlib.contextmanager
def locked(data_dir: Path) -> Any:
    """One serving process owns a data directory: two would send from one queue. Raises DataDirInUse."""
    with (data_dir / "gateway.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirInUse(str(data_dir)) from None
        yield


def own_secret(path: Path) -> str:
    """What callbacks are signed with where the settings name nothing: made once, readable by its owner alone.

    It is there whole or not at all: with an empty one, anybody could sign.
    """
    secret = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if not secret:
        secret, fresh = secrets.token_hex(32), path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secret, encoding="ascii")
        fresh.replace(path)
    return secret
