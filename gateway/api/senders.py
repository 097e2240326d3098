"""`/v1/senders`: the numbers texts and calls leave from, and what governs each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field

from gateway.api import limits_of, plans
from gateway.api.deeds import deed
from gateway.api.inputs import CallbackUrl, Input, Name, Text
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.problems import told_at
from gateway.api.roads import check_callback
from gateway.api.views import when
from gateway.errors.api import FieldProblem, InvalidRequest, NotFound, SenderTaken
from gateway.errors.limits import BadLimits, UnknownProfile
from gateway.errors.phone import InvalidNumber
from gateway.model.scope import SCOPE_KINDS
from gateway.model.sender import KEYWORD_REPLIES, KINDS, STATUSES, Sender
from gateway.phone import parse_sender, sender_kind
from gateway.sms.segments import segment
from gateway.store import audit_log, lives, scopes, tenants
from gateway.store.database import Tx
from gateway.store.signals import Things

Kind = Literal["toll_free", "long_code", "short_code"]
Status = Literal["unverified", "pending", "verified", "blocked"]
Replies = Literal["carrier", "gateway", "network"]
assert (get_args(Kind), get_args(Status), get_args(Replies)) == (KINDS, STATUSES, KEYWORD_REPLIES)  # noqa: S101

# What a change of the sender can open again.
_RELEASED = ("sender_unverified", "sender_blocked", "sender_unknown", "carrier_not_configured", "blocked")
# What waits for a cap or a scope, until its numbers or its status change.
RELEASED_CAPS = ("cap_day", "cap_week", "cap_month", "cap_rolling", "recipient_limit")
BLOCKED_SCOPES = tuple(f"{kind}_blocked" for kind in SCOPE_KINDS)
_RELEASED_AT_ONCE = 1_000  # rows a transaction


class SenderLimits(Input):
    """The sender's own numbers, in place of its profile's. Caps count segments in the calendar of every zone."""

    rate: str | None = Field(None, examples=["25/s", "1.25/s", "75/min"])
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    rolling: list[str] | None = Field(None, examples=[["500/24h"]])
    zones: list[str] | None = Field(None, examples=[["America/Los_Angeles"]])
    week_start: Literal["sunday", "monday"] | None = None


class NewSender(Input):
    """What a sender is. What is left out takes its default, also where the sender was there before."""

    kind: Kind | None = Field(None, description="By default what the number itself tells.")
    status: Status = "verified"
    carrier: Literal["twilio", ""] = Field("twilio", description="The road of its texts; empty: none.")
    voice: str = Field("", description="The road of its calls: `twilio`, or the name of a trunk; empty: none.")
    limits: SenderLimits = Field(default_factory=SenderLimits)
    keyword_replies: Replies | None = Field(None, description="Who answers STOP, START and HELP.")
    stop_text: Text = ""
    start_text: Text = ""
    help_text: Text = ""
    inbound_dialplan: Name | Literal[""] = Field("", description="What answers people who ring this number.")
    campaign: Name | Literal[""] = Field("", description="Its 10DLC campaign, of `/v1/limits/campaign`.")
    callback_url: CallbackUrl | Literal[""] = Field("", description="Where is told that a cap is used to 80 or 100 %.")


class SenderView(View):
    """One sender."""

    model_config = ConfigDict(from_attributes=True)

    number: str
    kind: str
    status: str
    carrier: str
    voice: str
    limits: dict[str, Any]
    keyword_replies: str
    stop_text: str
    start_text: str
    help_text: str
    inbound_dialplan: str
    campaign: str
    callback_url: str
    created_at: str | None


class Senders(View):
    """All of a tenant's senders."""

    items: list[SenderView]


def view(sender: Sender) -> SenderView:
    """A sender as engines see it."""
    names = [name for name in SenderView.model_fields if name != "created_at"]
    return SenderView(**{name: getattr(sender, name) for name in names}, created_at=when(sender.created_ms))


def number_in_path(call: Call) -> str:
    """The number in the address. Raises InvalidRequest."""
    try:
        return parse_sender(call.path("number"))
    except InvalidNumber as error:
        raise InvalidRequest(FieldProblem("number", error.slug, error.why)) from None


async def own(call: Call, tx: Tx) -> Sender:
    """The sender in the address, if it is the caller's. Raises NotFound."""
    sender = await tenants.sender(tx, number_in_path(call))
    if sender is None or sender.tenant_id != call.key.tenant_id:
        raise NotFound("sender")
    return sender


@operation("GET", "/v1/senders", "List senders.", scope="senders:admin", answers={200: Senders})
async def every(call: Call) -> Answer:
    """By number."""
    found = await call.doors.database.read(lambda tx: tenants.senders(tx, call.key.tenant_id))
    return Answer(200, Senders(items=[view(sender) for sender in found]))


@operation("GET", "/v1/senders/{number}", "One sender.", scope="senders:admin", answers={200: SenderView})
async def one(call: Call) -> Answer:
    """What it is, and what governs it."""
    return Answer(200, view(await call.doors.database.read(lambda tx: own(call, tx))))


@operation(
    "PUT",
    "/v1/senders/{number}",
    "Make or change a sender.",
    scope="senders:admin",
    body=NewSender,
    answers={200: SenderView},
)
async def put(call: Call, body: NewSender) -> Answer:
    """A change takes effect on the next text; what waited for it goes on."""
    sender = _sender(call, body)
    _check(call, sender)
    await _check_dialplan(call, sender)

    async def work(tx: Tx) -> tuple[Sender | None, Sender]:
        await _check_campaign(tx, sender)
        before = await tenants.sender(tx, sender.number)
        if not await tenants.put_sender(tx, sender):
            raise SenderTaken
        if before is None or replace(before, created_ms=sender.created_ms) != sender:
            await audit_log.add(tx, deed(call, "sender.put", sender.number, _facts(sender)))
        return before, await tenants.sender(tx, sender.number) or sender

    before, kept = await call.doors.database.write(work)
    if before is not None:
        await _release(call, before, kept)
    call.doors.signals.wake("messages")
    call.doors.signals.wake("calls")
    return Answer(200, view(kept))


def _sender(call: Call, body: NewSender) -> Sender:
    number = number_in_path(call)
    kind = body.kind or sender_kind(number)
    default = "network" if kind == "toll_free" else call.doors.settings.twilio.keyword_replies
    return Sender(
        number=number,
        tenant_id=call.key.tenant_id,
        kind=kind,
        status=body.status,
        carrier=body.carrier,
        voice=body.voice,
        limits=body.limits.model_dump(exclude_none=True),
        keyword_replies=body.keyword_replies or default,
        stop_text=body.stop_text,
        start_text=body.start_text,
        help_text=body.help_text,
        inbound_dialplan=body.inbound_dialplan,
        campaign=body.campaign,
        callback_url=check_callback(call, body.callback_url),
        created_ms=call.now_ms,
    )


def _facts(sender: Sender) -> dict[str, object]:
    """What is written down of a change: all that governs it, but not its texts."""
    names = ("kind", "status", "carrier", "voice", "limits", "keyword_replies", "inbound_dialplan", "campaign")
    return {name: getattr(sender, name) for name in names}


def _check(call: Call, sender: Sender) -> None:
    """Raise InvalidRequest for what can only be known beside the settings and the limit profiles."""
    if sender.voice and sender.voice != "twilio" and sender.voice not in call.doors.settings.trunks:
        roads = ", ".join(["twilio", *call.doors.settings.trunks])
        raise InvalidRequest(FieldProblem("voice", "unknown_road", f"no such road; there are: {roads}"))
    try:
        today = datetime.now(UTC).date()
        call.doors.profiles.of_sender(sender, "live", today)
    except UnknownProfile as error:
        raise InvalidRequest(FieldProblem("limits", error.slug, str(error))) from None
    except BadLimits as error:
        raise limits_of.invalid(error) from None
    for name in ("stop_text", "start_text", "help_text"):
        text = getattr(sender, name)
        with told_at(name):
            is_long = bool(text) and segment(text).segments > 1
        if is_long:
            raise InvalidRequest(FieldProblem(name, "too_long", "an answer must fit into one segment"))


async def _check_dialplan(call: Call, sender: Sender) -> None:
    if not sender.inbound_dialplan:
        return
    _, plan = await plans.published(call, sender.inbound_dialplan, "inbound_dialplan")
    if not plan.inbound:
        detail = "this dialplan makes calls; one that answers them says `inbound: true`"
        raise InvalidRequest(FieldProblem("inbound_dialplan", "not_inbound", detail))


async def _check_campaign(tx: Tx, sender: Sender) -> None:
    if sender.campaign and await scopes.one(tx, sender.tenant_id, "campaign", sender.campaign) is None:
        detail = "no such campaign; make it by PUT /v1/limits/campaign/{name}, or `gateway limits set`"
        raise InvalidRequest(FieldProblem("campaign", "unknown_campaign", detail))


async def _release(call: Call, before: Sender, sender: Sender) -> None:
    """Let what waited for this sender's status, road or limits go on, some at a time."""
    reasons = _RELEASED + ((*RELEASED_CAPS, *BLOCKED_SCOPES) if tenants.has_other_limits(before, sender) else ())
    await release(call, sender.number, reasons)


async def release(call: Call, number: str, reasons: Sequence[str]) -> None:
    """Let what waits for one of these reasons go on, some at a time, each once: what still holds it does so again."""
    things: Things
    for things in ("messages", "calls"):
        left, until_ms = await call.doors.database.read(
            partial(lives.held_for, things=things, sender=number, reasons=reasons)
        )
        while left > 0:
            await call.doors.database.write(
                partial(
                    lives.release_held,
                    things=things,
                    sender=number,
                    reasons=reasons,
                    now_ms=call.now_ms,
                    limit=_RELEASED_AT_ONCE,
                    until_ms=until_ms,
                )
            )
            left -= _RELEASED_AT_ONCE
