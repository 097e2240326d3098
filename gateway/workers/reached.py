"""Tells what limits have come to: `limit.reached`, in the transaction that brings them there."""

from collections.abc import Iterable, Mapping

from gateway.clock import now_ms, rfc3339
from gateway.limits.profiles import kind_of, scope_name
from gateway.model.event import Event
from gateway.model.limit import Cap, Full, Reached, Rolling
from gateway.model.limit_words import length_of
from gateway.model.sender import Sender
from gateway.store import events, usage
from gateway.store.database import Tx


async def tell(
    tx: Tx, windows: Iterable[Full], now_us: int, sender: Sender, mode: str, callbacks: Mapping[str, str]
) -> None:
    """Tell of each of these windows that has come to 80 or 100 per cent in the rows, once.

    callbacks: by kind of scope, where that is told; else where the sender's is.
    """
    for reached in await usage.reached(tx, windows, now_us):
        await events.add(tx, _told(reached, sender, mode, callbacks))


def _told(reached: Reached, sender: Sender, mode: str, callbacks: Mapping[str, str]) -> Event:
    cap = reached.window.cap
    kind = kind_of(cap.key)
    data = {
        "scope": kind,
        "window": cap.window if isinstance(cap, Cap) else length_of(cap.length_us),
        "zone": cap.zone if isinstance(cap, Cap) else "",
        "network": cap.network if isinstance(cap, Cap) else "",
        "unit": cap.unit,
        "percent": reached.percent,
        "used": reached.used,
        "limit": cap.limit,
        "starts_at": rfc3339(_starts_us(reached.window) // 1000),
        "resets_at": rfc3339(reached.window.resets_at_us // 1000),
    }
    subject = scope_name(cap.key)
    url = callbacks.get(kind) or sender.callback_url
    return Event("limit.reached", sender.tenant_id, mode, subject, now_ms(), data, callback_url=url)


def _starts_us(window: Full) -> int:
    """Of a rolling limit: a length before the part that is charged now."""
    return window.window_start_us - (window.cap.length_us if isinstance(window.cap, Rolling) else 0)
