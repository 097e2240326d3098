"""The far end of many calls (`far_end.c`), built with the machine's C compiler and run as a process."""

import asyncio
import json
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).with_suffix(".c")
_COMPILERS: Final = ("cc", "gcc", "clang")
_LONGEST_LINE: Final = 1 << 20


def compiler() -> str | None:
    """The C compiler of this machine, if there is one."""
    return next((found for name in _COMPILERS if (found := shutil.which(name))), None)


def more_files() -> None:
    """Let this process and its children open as many files as the machine allows: a call takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class FarEnd:
    """The process, as its parent sees it. `ports[n]` is where socket n hears and speaks."""

    def __init__(self, process: asyncio.subprocess.Process, ports: list[int]) -> None:
        self.ports = ports
        self._process = process

    @classmethod
    async def started(cls, sockets: int) -> "FarEnd":
        """Build it and start it; its ports are bound when this returns."""
        pipe = asyncio.subprocess.PIPE
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/far_end"
            built = await asyncio.create_subprocess_exec(compiler() or "cc", "-O2", "-o", program, str(SOURCE))
            assert await built.wait() == 0
            process = await asyncio.create_subprocess_exec(
                program, str(sockets), stdin=pipe, stdout=pipe, limit=_LONGEST_LINE
            )
            assert process.stdout is not None
            return cls(process, json.loads(await process.stdout.readline()))

    def start(self, socket: int, port: int, keys: str = "") -> None:
        """Let a socket talk to this port of 127.0.0.1, and press these keys in time."""
        self._say(f"start {socket} {port} {keys or '-'}")

    def stop(self, socket: int) -> None:
        """Let a socket fall silent, and what still comes be left out."""
        self._say(f"stop {socket}")

    async def seen(self) -> dict[str, Any]:
        """End it; returns what it saw."""
        out, _ = await self._process.communicate(b"end\n")
        return dict(json.loads(out))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
