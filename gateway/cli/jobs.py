"""Jobs, over HTTP: broadcasts handed over from a file, and how they go on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.campaign.readers import read, reader_for
from gateway.campaign.recipients import Intake, Invalid, Recipient
from gateway.cli.common import AsJson, group, pairs, read_bytes, read_text, show, show_list
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.client import Client, Json
from gateway.clock import new_id
from gateway.errors.campaign import BadRecipients
from gateway.errors.cli import FileUnreadable, RequestRefused

app = group("job")

_KINDS: Final = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".json": "application/json",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_EVERY_S: Final = 1.0
_ENDED: Final = frozenset({"completed", "cancelled"})


_COLUMNS: Final = ("id", "channel", "status", "from", "created_at", "finished_at", "reference")


@app.command("list")
def list_jobs(
    status: Annotated[str, typer.Option(help="Only these: running, paused, completed or cancelled.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List the newest fifty, newest first."""
    items = ask(url, key, lambda client: client.get("/v1/jobs", status=status))["items"]
    show_list(items, _COLUMNS, as_json=as_json)


@app.command("submit")
def submit(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Recipients: csv, ndjson, json or xlsx with a column or field `to`.")
    ],
    sender: Annotated[str, typer.Option("--from", help="The sender's number.")],
    body: Annotated[
        str | None, typer.Option(help="For texts: what to write; {{ name }} stands for each person's variable.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="For texts: a saved template instead of --body.")] = None,
    dialplan: Annotated[str | None, typer.Option(help="For calls: the name of a published dialplan.")] = None,
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="For calls: a variable for all, as name=value.")
    ] = None,
    category: Annotated[
        str,
        typer.Option(
            help="What calls are for: informational, telemarketing, healthcare, financial, package, emergency."
        ),
    ] = "informational",
    retries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="For calls: a YAML file with what follows busy, no_answer, machine and failed."
        ),
    ] = None,
    hours: Annotated[
        str | None,
        typer.Option(help="For calls: only from 09:00-20:00 or so, by the clocks of every zone a number stands for."),
    ] = None,
    start_at: Annotated[str | None, typer.Option(help="Not before: RFC 3339, 2026-11-30T09:00:00-08:00.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="Not after, likewise.")] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where events of this job are delivered.")] = None,
    reference: Annotated[str | None, typer.Option(help="Your own name for the job.")] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out who cannot be reached; without it such a row refuses all.")
    ] = False,
    on_unknown: Annotated[
        str,
        typer.Option(
            help="rest or resend: what becomes of a text that the carrier never answered for and does not list; "
            "resend may make a second copy of it."
        ),
    ] = "rest",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell the cost and the finish time; send nothing.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Hand a broadcast over, whole or not at all, and print the job's id.

    gateway job submit people.csv --from +18005550199 --body "Hello {{ name }}, your bill is due."

    gateway job submit people.csv --from +18005550199 --dialplan payment-reminder --retries again.yaml
    """
    if (dialplan is None) == (body is None and template is None):
        raise typer.BadParameter("give either --body or --template, for texts, or --dialplan, for calls")
    if var and not dialplan:
        raise typer.BadParameter("--var is for calls; texts take each person's variables from the file")
    said = {"dialplan": dialplan, "variables": pairs(var or [])} if dialplan else {"body": body, "template": template}
    channel = "voice" if dialplan else "sms"
    people, left_out = _recipients(file, channel, skip_invalid=skip_invalid)
    job: Json = {
        "channel": channel,
        **_of_calls(category, retries, hours),
        "from": sender,
        "call" if dialplan else "message": {name: value for name, value in said.items() if value is not None},
        "recipients": [_handed_over(person) for person in people],
        "on_invalid": "skip" if skip_invalid else "reject",
        "on_unknown": on_unknown,
        "start_at": start_at,
        "expires_at": expires_at,
        "callback_url": callback_url,
        "reference": reference or "",
    }
    query = {"dry_run": "true"} if dry_run else {}
    try:
        answer = ask(url, key, lambda client: client.post("/v1/jobs", job, idempotency_key=new_id("idem"), **query))
    except RequestRefused as refused:
        if refused.kind != "invalid_recipients":
            raise
        _tell_rows(file, people, refused.entries)
        raise FileUnreadable(str(file), "some cannot be reached; correct the file, or give --skip-invalid") from None
    if dry_run:
        show(answer)
    else:
        _tell_accepted(file, people, answer, left_out)


def _tell_accepted(file: Path, people: Sequence[Recipient], answer: Json, left_out: int) -> None:
    """Print the job's id alone, and beside it, for people, who is not in it."""
    typer.echo(answer["id"])
    _tell_rows(file, people, answer["skipped"]["entries"])
    for unused in answer["unused_variables"]:
        typer.echo(_unused(unused), err=True)
    goes_on = "follow it with `gateway job watch`" if answer["accepted"] else "the job is there, with nobody in it"
    skipped = left_out + answer["skipped"]["count"]
    typer.echo(f"{answer['accepted']} accepted, {skipped} left out; {goes_on}", err=True)


def _tell_rows(file: Path, people: Sequence[Recipient], entries: Iterable[Mapping[str, Any]]) -> None:
    """Tell what the gateway says of some of them, by their lines in the file."""
    for each in entries:
        _tell_row(file, people[each["line"] - 1].line, each.get("field") or "", str(each.get("detail")))


def _unused(told: Mapping[str, Any]) -> str:
    meant = f"; did you mean {told['did_you_mean']}?" if told["did_you_mean"] else ""
    return f"warning: nothing asks for the variable {told['name']!r}, which {told['count']} of them have{meant}"


def _recipients(file: Path, channel: str, *, skip_invalid: bool) -> tuple[list[Recipient], int]:
    """Read a file of recipients, as the API's upload does; rows that cannot be used are told with their line.

    Returns: the recipients, and how many rows were left out.
    """
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise FileUnreadable(str(file), f"the name must end in one of: {', '.join(_KINDS)}")
    try:
        rows = [row for chunk in read(reader_for(kind, Intake(channel=channel)), [read_bytes(file)]) for row in chunk]
    except BadRecipients as error:
        raise FileUnreadable(str(file), str(error)) from None
    wrong = [row for row in rows if isinstance(row, Invalid)]
    for row in wrong:
        for fault in row.faults:
            _tell_row(file, row.line, fault.field, fault.reason)
    if wrong and not skip_invalid:
        rows_are = "1 row" if len(wrong) == 1 else f"{len(wrong)} rows"
        raise FileUnreadable(str(file), f"{rows_are} cannot be used; correct the file, or give --skip-invalid")
    people = [row for row in rows if isinstance(row, Recipient)]
    if not people:
        raise FileUnreadable(str(file), "nobody in it can be reached")
    return people, len(wrong)


def _tell_row(file: Path, line: int, field: str, why: str) -> None:
    typer.echo(f"{file}:{line}: {field + ': ' if field else ''}{why}", err=True)


def _handed_over(person: Recipient) -> Json:
    return (
        {"to": person.to, "variables": person.variables, "reference": person.reference}
        | ({"alternatives": list(person.alternatives)} if person.alternatives else {})
        | ({"network": person.network} if person.network else {})
    )


def _of_calls(category: str, retries: Path | None, hours: str | None) -> Json:
    """What only a job of calls has; of texts the gateway refuses what is not as it is by default."""
    begin, _, end = (hours or "").partition("-")
    return {
        "category": category,
        "retries": _table(retries) if retries else {},
        "hours": {"from": begin, "to": end} if hours else None,
    }


def _table(file: Path) -> Json:
    """Read what follows each outcome: `busy: {after: 5m, attempts: 3}` and so on. The gateway checks it."""
    try:
        table = YAML(typ="safe", pure=True).load(read_text(file))
    except YAMLError as error:
        raise FileUnreadable(str(file), f"is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(table, dict):
        raise FileUnreadable(str(file), "must have a line for each outcome, such as busy: {after: 5m, attempts: 3}")
    return table


@app.command("watch")
def watch(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `gateway job submit` printed it.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Show how a job goes on until it has ended; Ctrl-C stops the looking, not the job."""
    console = Console(highlight=False)

    async def follow(client: Client) -> None:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                job = await client.get(f"/v1/jobs/{job_id}")
                why = await client.get(f"/v1/jobs/{job_id}/why")
                live.update(Text(_progress(job, why)), refresh=True)
                if job["status"] in _ENDED:
                    break
                await asyncio.sleep(_EVERY_S)
        if not console.is_terminal:  # there Live shows the last state alone, without a line's end
            typer.echo()

    ask(url, key, follow)


def _progress(job: Mapping[str, Any], why: Mapping[str, Any]) -> str:
    counts = job["counts"]
    states = ", ".join(f"{state} {count}" for state, count in counts["by_state"].items())
    held = "".join(
        f"\n  {each['count']} held: {each['reason']}" + (f", until {each['opens_at']}" if each["opens_at"] else "")
        for each in why["held"]
    )
    return f"{job['id']} is {job['status']}: {counts['total']} recipients ({states}){held}\n{why['explanation']}"
