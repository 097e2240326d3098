"""Senders, over HTTP: the numbers that texts and calls leave from, and what governs them."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

import typer

from gateway.cli.common import AsJson, group, show, show_list, show_record
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.client import Client, Json
from gateway.errors.cli import RequestRefused

app = group("sender")

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="In E.164 form, such as +18005550199.")]


class Kind(StrEnum):
    """What kind of number a sender is."""

    TOLL_FREE = "toll_free"
    LONG_CODE = "long_code"
    SHORT_CODE = "short_code"


class Status(StrEnum):
    """How far its verification is."""

    UNVERIFIED = "unverified"
    PENDING = "pending"
    VERIFIED = "verified"
    BLOCKED = "blocked"


class Replies(StrEnum):
    """Who answers STOP, START and HELP."""

    CARRIER = "carrier"
    GATEWAY = "gateway"
    NETWORK = "network"


@app.command("set")
def set_sender(
    number: Number,
    kind: Annotated[
        Kind | None, typer.Option(help="Needed for a new sender that is not plain from its number.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="An unverified sender sends no texts.")] = None,
    carrier: Annotated[str | None, typer.Option(help="Where its texts leave: twilio.")] = None,
    voice: Annotated[
        str | None, typer.Option(help="Where its calls leave: twilio, or a trunk of the settings.")
    ] = None,
    rate: Annotated[str | None, typer.Option(metavar="RATE", help="Segments a period, such as 3/s or 75/min.")] = None,
    daily: Annotated[int | None, typer.Option(metavar="N", min=0, help="Segments a day.")] = None,
    weekly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Segments a week.")] = None,
    monthly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Segments a month.")] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar="ZONE", help="Time zone whose calendar the caps are kept in; several times for several."),
    ] = None,
    keyword_replies: Annotated[Replies | None, typer.Option(help="Who answers STOP, START and HELP.")] = None,
    inbound_dialplan: Annotated[str | None, typer.Option(help="The plan that answers people who ring back.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Its 10DLC campaign; see gateway limits.")] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where is told that a cap is used to 80 or 100 %.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Make a sender, or change what is given and leave the rest as it is.

    gateway sender set +18005550199 --status verified --rate 25/s --daily 2000 --zone America/Los_Angeles
    """
    given: Json = {
        "kind": kind,
        "status": status,
        "carrier": carrier,
        "voice": voice,
        "keyword_replies": keyword_replies,
        "inbound_dialplan": inbound_dialplan,
        "campaign": campaign,
        "callback_url": callback_url,
    }
    limits: Json = {"rate": rate, "daily": daily, "weekly": weekly, "monthly": monthly, "zones": zone}

    async def change(client: Client) -> Json:
        known = await _known_sender(client, number)
        wanted = known | {name: value for name, value in given.items() if value is not None}
        wanted["limits"] = known.get("limits", {}) | {
            name: value for name, value in limits.items() if value is not None
        }
        return await client.put(f"/v1/senders/{number}", wanted)

    show_record(ask(url, key, change))


_SENDER_FIELDS: Final = (
    "kind", "status", "carrier", "voice", "limits", "keyword_replies", "stop_text", "start_text", "help_text",
    "inbound_dialplan", "campaign", "callback_url",
)  # fmt: skip


async def _known_sender(client: Client, number: str) -> Json:
    """What a sender is now, as PUT takes it; empty for a new one."""
    try:
        found = await client.get(f"/v1/senders/{number}")
    except RequestRefused as refused:
        if refused.answer == HTTPStatus.NOT_FOUND:
            return {}
        raise
    return {name: found[name] for name in _SENDER_FIELDS}


_COLUMNS: Final = ("number", "kind", "status", "carrier", "voice", "campaign", "limits")
_WINDOW: Final = (
    "scope", "window", "zone", "network", "unit", "limit", "used", "reserved", "free", "resets_at", "runs_out_at",
)  # fmt: skip


@app.command("list")
def list_senders(url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List them all."""
    items = ask(url, key, lambda client: client.get("/v1/senders"))["items"]
    show_list(items, _COLUMNS, as_json=as_json)


@app.command("show")
def show_sender(number: Number, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """Show a sender, its rate, and how full every cap is."""

    async def look(client: Client) -> tuple[Json, Json]:
        return await client.get(f"/v1/senders/{number}"), await client.get(f"/v1/senders/{number}/usage")

    sender, usage = ask(url, key, look)
    if as_json:
        show(sender | {"usage": usage})
        return
    show_record(sender)
    if usage["windows"]:
        typer.echo("")
        show_list(usage["windows"], _WINDOW, as_json=False)
