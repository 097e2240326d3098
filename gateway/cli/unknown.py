"""Texts that no carrier answered for, over HTTP: which they are, and what a person says became of them."""

from typing import Annotated

import typer

from gateway.cli.common import AsJson, group, show, show_list, show_table
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask

app = group("unknown")

_PLACES = {"msg": "messages", "job": "jobs"}  # by how an id begins
_VERDICTS = ("sent", "resend", "drop")


@app.command("list")
def list_unknown(
    job: Annotated[str, typer.Option(help="Only those of this job.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List them: what nobody knows to have left. `reason` absent_at_carrier: the carrier was asked twice."""
    query = {"status": "unknown", **({"job_id": job} if job else {})}
    items = ask(url, key, lambda client: client.every("/v1/messages", **query))
    show_list(items, ("id", "to", "from", "sent_at", "reason", "copies"), as_json=as_json)


def settle(
    thing: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a message, or of a job: all of its unknown texts.")
    ],
    verdict: Annotated[
        str, typer.Argument(metavar="sent|resend|drop", help="What became of it; resend may make a second copy.")
    ],
    note: Annotated[str, typer.Option(help="Why, in your own words; kept in the audit log.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Say what became of a text whose carrier never answered; it goes into the audit log.

    gateway settle msg_01JD0Z4T6V0000000000000000 resend --note "she called: nothing came"
    """
    kind = thing.partition("_")[0]
    if kind not in _PLACES:
        raise typer.BadParameter("an id begins with msg_ or job_", param_hint="ID")
    if verdict not in _VERDICTS:
        raise typer.BadParameter(f"must be one of: {', '.join(_VERDICTS)}", param_hint="VERDICT")
    said = {"as": verdict, "note": note}
    told = ask(url, key, lambda client: client.post(f"/v1/{_PLACES[kind]}/{thing}/settle", said))
    typer.echo(f"{told['settled']} settled" if kind == "job" else f"{told['id']} is {told['status']}")


@app.command("log")
def log(
    subject: Annotated[str, typer.Option(help="Only what was done to this message or job.")] = "",
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List who settled what, when, and why."""
    query = {"subject": subject} if subject else {}
    items = ask(url, key, lambda client: client.every("/v1/audit-log", **query))
    if as_json:
        show(items)
        return
    rows = ([each["at"], each["actor"], each["detail"].get("as"), each["subject"], each["note"]] for each in items)
    show_table(("at", "who", "as", "what", "note"), rows)
