"""`/v1/senders/{number}/usage`: how full each window of each cap is, and when it runs out."""

from pydantic import Field

from gateway.api import limits_of, senders
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.views import when
from gateway.limits.profiles import kind_of, scope_name
from gateway.model.limit import Cap, Usage
from gateway.model.limit_words import length_of


class Window(View):
    """One window of one cap."""

    scope: str = Field(examples=["sender", "campaign", "brand", "tenant", "account"])
    name: str = Field(description="Of the scope: a number, a campaign's name, …")
    network: str = Field(description="What alone it counts: what goes to this network; empty: all.")
    window: str = Field(examples=["day", "week", "month", "24h"], description="A length: any stretch so long.")
    zone: str
    unit: str
    counts: str = Field(description="`attempts` never come back; `accepted` do when the carrier did not count them.")
    limit: int
    used: int
    reserved: int = Field(description="Debited for slots that were not written yet.")
    free: int
    starts_at: str
    resets_at: str
    runs_out_at: str | None = Field(
        description="When nothing is free any more, if what waits goes on leaving at the sender's rate; null: it lasts."
    )
    source: str


class SenderUsage(View):
    """What a sender may still send. The counters of test keys are apart from those of live ones."""

    number: str
    status: str
    blocked: bool
    rate_per_s: float | None = Field(description="Segments a second; null: no limit. The slowest rate of all scopes.")
    rate_source: str
    waiting: int = Field(description="Segments that wait.")
    windows: list[Window]


@operation(
    "GET",
    "/v1/senders/{number}/usage",
    "What a sender may still send.",
    scope="reports:read",
    answers={200: SenderUsage},
)
async def of_sender(call: Call) -> Answer:
    """Every window of every cap of every scope that binds its texts, as the gate counts it.

    Where Redis is away the database's figures stand. What several senders share counts the texts of all of them.
    """
    sender = await call.doors.database.read(lambda tx: senders.own(call, tx))
    limits = await limits_of.of_all_scopes(call.doors, sender, call.key.mode)
    where = {"sender": sender.number, "mode": call.key.mode}
    waiting = int(await call.doors.database.read(lambda tx: tx.value("messages_waiting_segments", **where)))
    rate = limits_of.rate_of(limits)
    usages = await limits_of.fullness(call.doors, limits)
    told = SenderUsage(
        number=sender.number,
        status=sender.status,
        blocked=limits_of.is_blocked(limits),
        rate_per_s=rate,
        rate_source=limits_of.slowest_source(limits),
        waiting=waiting,
        windows=[_window(usage, _runs_out_ms(usage, rate, waiting, call.now_ms)) for usage in usages],
    )
    return Answer(200, told)


def _runs_out_ms(usage: Usage, per_s: float | None, waiting: int, now_ms: int) -> int | None:
    """When the window is used up at the pace of what waits; None when that lasts to its end."""
    if usage.free == 0:
        return now_ms
    if not per_s or waiting < usage.free:
        return None
    ends_ms = now_ms + int(usage.free / per_s * 1000)
    return ends_ms if ends_ms < usage.resets_at_us // 1000 else None


def _window(usage: Usage, runs_out_ms: int | None) -> Window:
    cap = usage.cap
    return Window(
        scope=kind_of(cap.key),
        name=scope_name(cap.key),
        network=cap.network if isinstance(cap, Cap) else "",
        window=cap.window if isinstance(cap, Cap) else length_of(cap.length_us),
        zone=cap.zone if isinstance(cap, Cap) else "",
        unit=cap.unit,
        counts=cap.counts,
        limit=cap.limit,
        used=usage.used,
        reserved=usage.reserved,
        free=usage.free,
        starts_at=when(usage.starts_at_us // 1000) or "",
        resets_at=when(usage.resets_at_us // 1000) or "",
        runs_out_at=when(runs_out_ms),
        source=cap.source,
    )
