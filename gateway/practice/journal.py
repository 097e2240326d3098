"""What reached the far end and what it told, on disk: one JSON line each, which a kill of this process leaves whole.

A line is one `write` to a file opened for appending, made before the request is answered: what was accepted stands in
the file, whatever dies next. Every line has `kind`, `at_s` (monotonic seconds, one clock for all processes of this
machine) and `at_ms` (wall-clock milliseconds since 1970).

    start     the far end began, or began again, with this file
    text      a request to send a text: the fields of `ledger.Arrival`, `message_id` (the id in its StatusCallback) and
              `body`
    call      a request to place a call, likewise
    report    a report was posted: sid, status, code, url, `http` (the answer's status; 0: none) and `answered_ms`
    inbound   a person's text was posted: sid, person, sender, body, `http` and `answered_ms`
    reset     POST /practice/reset
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson


class Journal:
    """A file of lines; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """Open or continue the file. Raises OSError."""
        self.lines: list[dict[str, Any]] = []  # what was there: since the last reset
        self._file: int | None = None
        if path is not None:
            self.lines = read(path)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(self._file, b"\n" if _is_cut_off(path) else b"")
        self.add("start")

    @property
    def keeps(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def add(self, kind: str, facts: Mapping[str, Any] | None = None) -> None:
        """Append one line, stamped now unless `facts` bring their own time."""
        if self._file is not None:
            stamped = {"kind": kind, "at_s": time.monotonic(), "at_ms": time.time_ns() // 1_000_000, **(facts or {})}
            os.write(self._file, orjson.dumps(stamped, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is_cut_off(path: Path) -> bool:
    """Whether the last line has no end: what follows must not be written to its tail."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 1))
        return file.read(1) not in {b"", b"\n"}


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a journal since its last reset; none where there is no file."""
    found: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            fact = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # the process was killed, or the disk was full, within this line
        if fact["kind"] == "reset":
            found.clear()
        found.append(fact)
    return found


def id_in(url: str) -> str:
    """The `id` in a StatusCallback's query: what the gateway calls the text. Empty where there is none."""
    return parse_qs(urlsplit(url).query).get("id", [""])[0]
