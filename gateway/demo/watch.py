"""Waits until all that can move has moved, and shows how far it is."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from gateway.client import Client
from gateway.clock import monotonic
from gateway.errors.cli import DemoFailed

EVERY_S: Final = 1.0
QUIET_S: Final = 4.0  # longer than reports and replies of the practice far end take
STALLED_S: Final = 60.0

_MOVING: Final = frozenset({"queued", "sending", "dialing", "ringing", "answered"})
_OPEN: Final = frozenset({"sent", "unknown"})  # a report may still come, or never
_LONG_HOLDS: Final = frozenset({"cap_day", "cap_week", "cap_month"})


@dataclass(slots=True)
class _Watched:
    job_id: str
    bar: TaskID
    counts: Mapping[str, Any]


async def until_settled(client: Client, jobs: Sequence[tuple[str, str]], console: Console) -> list[dict[str, Any]]:
    """Show progress of jobs, given as (name, id), until nothing changes any more; returns them as the API shows them.

    Held for a cap counts as settled; it would take until tomorrow. Raises DemoFailed when nothing moves for a minute
    although it could.
    """
    bars = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    states = TextColumn("{task.fields[states]}", table_column=Column(ratio=1, overflow="fold"))
    with Progress(*bars, states, console=console, expand=True) as progress:
        watched = [_Watched(job_id, progress.add_task(name, total=None, states=""), {}) for name, job_id in jobs]
        changed = monotonic()
        while True:
            found = [await client.get(f"/v1/jobs/{each.job_id}") for each in watched]
            for each, job in zip(watched, found, strict=True):
                if job["counts"] != each.counts:
                    each.counts, changed = job["counts"], monotonic()
                    _show(progress, each)
            quiet = monotonic() - changed
            if quiet >= QUIET_S and not any(is_moving(job["counts"]) for job in found):
                return found
            if quiet >= STALLED_S:
                raise DemoFailed(f"nothing has moved for {STALLED_S:.0f} s; see gateway.log in the demo's folder")
            await asyncio.sleep(EVERY_S)


def is_moving(counts: Mapping[str, Any]) -> bool:
    """Whether something of a job may still happen by itself within moments."""
    return any(counts["by_state"].get(state) for state in _MOVING) or bool(set(counts["held"]) - _LONG_HOLDS)


def _show(progress: Progress, watched: _Watched) -> None:
    by_state: Mapping[str, int] = watched.counts["by_state"]
    ended = sum(count for state, count in by_state.items() if state not in _MOVING | _OPEN | {"held"})
    words = [f"{state} {count}" for state, count in by_state.items() if state != "held"]
    words += [f"held for {reason} {count}" for reason, count in watched.counts["held"].items()]
    progress.update(watched.bar, completed=ended, total=watched.counts["total"], states=", ".join(words))
