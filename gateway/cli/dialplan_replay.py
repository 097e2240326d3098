"""`gateway dialplan replay`: real calls under another version of their plan."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from gateway.cli.common import AsJson, read_bytes, read_text, show, show_table
from gateway.cli.dialplan_views import dialplan_app
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.errors.cli import FileUnreadable
from gateway.voice import loader
from gateway.voice.dialplan import Plan
from gateway.voice.replay import PastCall, Replayed, outcomes, replay

if TYPE_CHECKING:
    from gateway.client import Client

__all__ = ["dialplan_app"]  # with this command added to it

Json = dict[str, Any]
_SHOWN: Final = 20  # calls named one by one


@dialplan_app.command("replay")
def replay_calls(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The version to try: a plan.")],
    calls: Annotated[str, typer.Option(help="A voice job's id, or a JSON file as `GET /v1/calls` gives it.")],
    old: Annotated[
        Path | None,
        typer.Option(help="The version that the calls were held with; without it, the gateway is asked for each."),
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Tell which real calls would have come to another outcome, had this version been the one they were held with.

    The same people do the same: the keys they pressed, their silence, where they hung up. Exit code 1 if any differs.

    gateway dialplan replay dialplans/payment-reminder.yaml --calls job_01…
    """
    new = loader.load(read_text(file), file=str(file))
    rows = [row for row in _rows(calls, url, key) if row["path"]]
    plans = _versions(rows, old, url, key)
    told = [replay(_past(row), plans[_version(row)], new) for row in rows]
    if as_json:
        show({"calls": len(told), "differ": [_as_dict(each) for each in told if each.differs or each.why]})
    else:
        _show(told)
    if any(each.differs for each in told):
        raise typer.Exit(1)


def _rows(calls: str, url: str, key: str) -> list[Json]:
    """The calls as the API shows them."""
    if not Path(calls).is_file():
        return ask(url, key, lambda client: client.every("/v1/calls", job_id=calls))
    try:
        given = orjson.loads(read_bytes(Path(calls)))
        rows: list[Json] = given["items"] if isinstance(given, dict) else given
        for row in rows:
            _version(row)
            _past(row)
    except (ValueError, KeyError, TypeError) as error:
        raise FileUnreadable(calls, f"is not a list of calls as GET /v1/calls gives it ({error})") from None
    return rows


def _version(row: Json) -> tuple[str, int]:
    return str(row["dialplan"]), int(row["dialplan_version"])


def _past(row: Json) -> PastCall:
    path = tuple(str(visit["node"]) for visit in row["path"])
    words = {name: str(row[name]) for name in ("id", "keys", "outcome", "answered_by")}
    return PastCall(variables=dict(row["variables"]), path=path, **words)


def _versions(rows: Sequence[Json], old: Path | None, url: str, key: str) -> dict[tuple[str, int], Plan]:
    """Each version that a call was held with."""
    wanted = dict.fromkeys(map(_version, rows))
    if old is not None:
        return dict.fromkeys(wanted, loader.load(read_text(old), file=str(old)))
    return {each: loader.load(ask(url, key, partial(_source, *each)), file=f"{each[0]}.yaml") for each in wanted}


async def _source(name: str, version: int, client: "Client") -> str:
    answer = await client.get(f"/v1/dialplans/{name}", version=version)
    return str(answer["source"])


def _as_dict(each: Replayed) -> Json:
    after = each.after
    return {
        "id": each.call.id,
        "keys": each.entries,
        "outcome": each.call.outcome,
        "would_be": after.outcome if after else None,
        "path": after.path if after else None,
        "why": each.why,
    }


def _show(told: Sequence[Replayed]) -> None:
    rows = [
        (count, before or "none", after or "none", "" if before == after else "differs")
        for (before, after), count in sorted(outcomes(told).items(), key=lambda pair: -pair[1])
    ]
    show_table(("calls", "outcome", "would be", ""), rows)
    changed = [each for each in told if each.differs]
    for each in changed[:_SHOWN]:
        path = " ".join(each.after.path) if each.after else ""
        typer.echo(f"{each.call.id}: {', '.join(each.entries) or 'nothing'}: {path}")
    if len(changed) > _SHOWN:
        typer.echo(f"and {len(changed) - _SHOWN} more (--json shows all)")
    for each in [each for each in told if each.why][:_SHOWN]:
        typer.echo(f"{each.call.id}: left out: {each.why}", err=True)
