"""`gateway audit`: hold what the database says against itself, and against what the engine and the carrier know."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.audit import audit as judge
from gateway.audit_ledgers import CHECKS, Finding, Judged
from gateway.audit_read import read_accepted, read_arrivals, read_database
from gateway.cli.common import AsJson, run
from gateway.cli.configured import Config, DataDir, load
from gateway.clock import now_ms
from gateway.errors.cli import FileUnreadable
from gateway.limits.profiles import Profiles
from gateway.settings import Settings
from gateway.store.database import Database

_SHOWN: Final = 20  # findings of one kind, for people; --json has all


def audit(
    far_end: Annotated[
        Path | None, typer.Option(help="What the far end received, one JSON object a line; see docs/promises.md.")
    ] = None,
    accepted: Annotated[
        Path | None, typer.Option(help="What the engine was answered, one JSON object a line; see docs/promises.md.")
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Every text should have come to its end by now.")] = False,
    jitter_ms: Annotated[
        int, typer.Option(metavar="MS", min=0, help="Between our socket and the far end's clock.")
    ] = 25,
    clock_moved: Annotated[
        bool, typer.Option("--clock-moved", help="Our clock was set meanwhile: judge rates and stops by the far end.")
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Look for broken promises: texts lost or doubled, caps and rates passed, writes after a stop, impossible moves.

    Reads only, beside a running gateway or a stopped one. Limits are judged as they stand today. Exit code 1 when
    anything is found.

    gateway audit --ended
    """
    settings = load(config, data_dir=data_dir)
    wanted = Judged(ended=ended, jitter_ms=jitter_ms, clock_steady=not clock_moved)
    texts, found = run(_audited(settings, far_end, accepted, wanted))
    if as_json:
        findings = [{"promise": CHECKS[each.check], **_fields(each)} for each in found]
        typer.echo(json.dumps({"texts": texts, "findings": findings}))
    else:
        _tell(texts, found)
    if found:
        raise typer.Exit(1)


async def _audited(
    settings: Settings, far_end: Path | None, accepted: Path | None, wanted: Judged
) -> tuple[int, list[Finding]]:
    answers, stops = read_accepted(accepted) if accepted else (None, None)
    arrivals = read_arrivals(far_end) if far_end else None
    profiles = Profiles.load(settings.folders.limits)
    days = settings.retention.history_days
    since_ms = max(0, now_ms() - int((days - 1) * 86_400_000)) if days else 0
    where = settings.database_at
    if isinstance(where, Path) and not await asyncio.to_thread(where.exists):
        raise FileUnreadable(str(where), "there is no database here")  # to open it would make one
    async with Database.open(where) as database:
        ledgers = await read_database(
            database,
            profiles,
            accepted=answers,
            stops=stops,
            arrivals=arrivals,
            since_ms=since_ms,
            unknown_network=settings.limits.unknown_network,
        )
    return len(ledgers.texts), judge(ledgers, wanted)


def _tell(texts: int, found: Sequence[Finding]) -> None:
    by_check = Counter(each.check for each in found)
    shown: Counter[str] = Counter()
    for each in found:
        shown[each.check] += 1
        if shown[each.check] <= _SHOWN:
            typer.echo(str(each))
    for check, number in by_check.items():
        if number > _SHOWN:
            typer.echo(f"{CHECKS[check]} {check}: {number - _SHOWN} more; --json has all")
    told = ", ".join(f"{number} {check}" for check, number in by_check.items()) or "no finding"
    typer.echo(f"{texts} {'text' if texts == 1 else 'texts'}: {told}")


def _fields(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "subject": finding.subject, "detail": finding.detail}
