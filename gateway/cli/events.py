"""What happens and why, over HTTP: the log of events, and the gate that holds a thing."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from gateway.cli.common import AsJson, group, show, show_facts
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.client import Client
from gateway.clock import rfc3339
from gateway.errors.cli import GatewayUnreachable

app = group("events")

_PLACES: Final = {"msg": "messages", "call": "calls", "job": "jobs"}  # by how an id begins
_AGAIN_S: Final = 1.0


def why(
    thing: Annotated[str, typer.Argument(metavar="ID", help="The id of a message, a call or a job.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Say why a message, a call or a job is where it is: what holds it, and when that opens.

    gateway why msg_01JD0Z4T6V0000000000000000
    """
    place = _PLACES.get(thing.partition("_")[0])
    if place is None:
        raise typer.BadParameter("an id begins with msg_, call_ or job_", param_hint="ID")
    told = ask(url, key, lambda client: client.get(f"/v1/{place}/{thing}/why"))
    if as_json:
        show(told)
        return
    show_facts(
        (name.replace("_", " "), told.get(name)) for name in ("status", "waiting_for", "opens_at", "explanation")
    )
    for each in told.get("held", ()):
        until = f", until {each['opens_at']}" if each["opens_at"] else ""
        typer.echo(f"  {each['count']} held: {each['reason']}{until}")


@app.command("tail")
def tail(
    after: Annotated[
        int | None,
        typer.Option(metavar="SEQ", min=0, help="Begin behind this number; 0 shows all. Without it, what is to come."),
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="Only this type, such as message.delivered.")] = "",
    job: Annotated[str, typer.Option(help="Only events of this job.")] = "",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more, until Ctrl-C.")] = True,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show events as they happen, one a line. After a break it goes on where it was.

    gateway events tail --type opt_out.created
    """
    query = {name: value for name, value in (("type", kind), ("job_id", job)) if value}

    async def listen(client: Client) -> None:
        seq = after if after is not None else int((await client.get("/v1/events", after="newest"))["next_after"])
        if follow:
            await _follow(client, seq, query, as_json=as_json)
        for event in await client.past_events(seq, **query):
            _print_event(event, as_json=as_json)

    ask(url, key, listen)


async def _follow(client: Client, seq: int, query: Mapping[str, str], *, as_json: bool) -> None:
    """Show the stream without end; a break is told once, and the stream taken up behind the last event seen."""
    is_broken = False
    while True:
        try:
            async for event in client.events(seq, **query):
                seq, is_broken = event["seq"], False
                _print_event(event, as_json=as_json)
        except GatewayUnreachable as error:
            if not is_broken:
                typer.echo(f"{error}; trying on", err=True)
            is_broken = True
        await asyncio.sleep(_AGAIN_S)


def _print_event(event: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        show(event)
        return
    data = event["data"]
    words = [
        f"{name}={data[name]}" for name in ("to", "from", "reason", "error_code", "outcome", "keys") if data.get(name)
    ]
    typer.echo(f"{event['seq']:>8}  {rfc3339(event['at_ms'])}  {event['type']:<22} {event['id']}  {' '.join(words)}")
