"""Limits beyond the senders': campaigns, brands, the tenant, carrier accounts, recipients."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from gateway.cli.common import AsJson, group, pairs, show_list, show_record
from gateway.cli.remote import DEFAULT_URL, Key, Url, ask
from gateway.client import Client, Json

app = group("limits")


class Kind(StrEnum):
    """What a limit is bound to."""

    CAMPAIGN = "campaign"
    BRAND = "brand"
    TENANT = "tenant"
    ACCOUNT = "account"
    RECIPIENT = "recipient"


WhichKind = Annotated[Kind, typer.Argument(metavar="KIND", help="campaign, brand, tenant, account or recipient.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name; a tenant's id, a carrier's name, or `each`.")]
_COLUMNS: Final = ("kind", "name", "status", "brand", "limits")


@app.command("list")
def list_scopes(url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List them all."""
    items = ask(url, key, lambda client: client.get("/v1/limits"))["items"]
    show_list(items, _COLUMNS, as_json=as_json)


@app.command("show")
def show_scope(kind: WhichKind, name: Name, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """Show one: its status and its numbers."""
    show_record(ask(url, key, lambda client: client.get(f"/v1/limits/{kind}/{name}")), as_json=as_json)


@app.command("delete")
def delete_scope(kind: WhichKind, name: Name, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Take one away; refused while a sender names the campaign, or a campaign the brand."""
    show_record(ask(url, key, lambda client: client.delete(f"/v1/limits/{kind}/{name}")))


@app.command("set")
def set_scope(
    kind: WhichKind,
    name: Name,
    status: Annotated[
        str | None, typer.Option(help="Of a campaign or brand its profile, such as score_75; else open; blocked.")
    ] = None,
    brand: Annotated[str | None, typer.Option(help="Of a campaign: its brand.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="RATE", help="Units a period, such as 50/s.")] = None,
    rate_unit: Annotated[str | None, typer.Option(help="segment, message or call.")] = None,
    network_rate: Annotated[
        list[str] | None, typer.Option(metavar="NETWORK=RATE", help="Of one network, such as att=75/s.")
    ] = None,
    daily: Annotated[int | None, typer.Option(metavar="N", min=0, help="Units a day.")] = None,
    weekly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Units a week.")] = None,
    monthly: Annotated[int | None, typer.Option(metavar="N", min=0, help="Units a month.")] = None,
    network_daily: Annotated[
        list[str] | None, typer.Option(metavar="NETWORK=N", help="Of one network, such as tmobile=40000.")
    ] = None,
    rolling: Annotated[
        list[str] | None, typer.Option(metavar="N/LENGTH", help="In any stretch of time, such as 3/24h; up to three.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="What caps count: segment, message or call.")] = None,
    zone: Annotated[
        list[str] | None, typer.Option(metavar="ZONE", help="Time zone whose calendar caps are kept in.")
    ] = None,
    callback_url: Annotated[str | None, typer.Option(help="Where is told that a cap is used up.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
) -> None:
    """Make one, or change what is given and leave the rest as it is.

    gateway limits set recipient each --rolling 3/24h
    """
    given: Json = {"status": status, "brand": brand, "callback_url": callback_url}
    limits: Json = {
        "rate": rate,
        "rate_unit": rate_unit,
        "network_rates": pairs(network_rate) if network_rate else None,
        "daily": daily,
        "weekly": weekly,
        "monthly": monthly,
        "network_daily": _counts(network_daily or []) or None,
        "rolling": rolling,
        "unit": unit,
        "zones": zone,
    }

    async def change(client: Client) -> Json:
        items = (await client.get("/v1/limits"))["items"]
        known: Json = next((item for item in items if (item["kind"], item["name"]) == (kind, name)), {})
        wanted = {field: known[field] for field in ("status", "brand", "callback_url") if known.get(field)}
        wanted |= {field: value for field, value in given.items() if value is not None}
        wanted["limits"] = known.get("limits", {}) | {each: n for each, n in limits.items() if n is not None}
        return await client.put(f"/v1/limits/{kind}/{name}", wanted)

    show_record(ask(url, key, change))


def _counts(given: list[str]) -> dict[str, int]:
    named = pairs(given)
    for network, count in named.items():
        if not (count.isascii() and count.isdigit()):
            raise typer.BadParameter(f"{network}: {count!r} is no whole number")
    return {network: int(count) for network, count in named.items()}
