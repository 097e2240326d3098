"""What a call's audio was like: kept with the call, and told to Prometheus for each trunk."""

from collections.abc import Callable

from gateway.media.events import Stats
from gateway.metrics import LineMetrics

OnLine = Callable[[Stats], None]


def quality_of(seen: Stats) -> dict[str, object]:
    """What a call's record keeps of its audio: packets, and what both ends say was lost or uneven."""
    told = {"lost": seen.far_lost, "jitter_ms": seen.far_jitter_ms, "round_trip_ms": seen.round_trip_ms}
    ours = {"received": seen.received, "lost": seen.lost, "jitter_ms": seen.jitter_ms, "gaps": seen.gaps}
    sent = {"sent": seen.sent, "late": seen.late, "skipped": seen.skipped, "unsent": seen.unsent}
    refused = {"foreign": seen.foreign, "bad": seen.bad, "ignored": seen.ignored, "unused": seen.unused}
    return {**sent, **ours, **refused, "far_end": {name: value for name, value in told.items() if value is not None}}


def observer(metrics: LineMetrics, trunk: str) -> OnLine:
    """What a trunk tells of each call as it ends, for Prometheus."""

    def observe(seen: Stats) -> None:
        metrics.heard(trunk, expected=seen.received + seen.lost, lost=seen.lost, jitter_s=seen.jitter_ms / 1000)
        if seen.far_lost is not None and seen.far_jitter_ms is not None:
            lost = max(0, seen.far_lost)  # packets that came twice make it negative (RFC 3550, 6.4.1)
            metrics.spoken(trunk, sent=seen.sent, lost=lost, jitter_s=seen.far_jitter_ms / 1000)
        if seen.round_trip_ms is not None:
            metrics.round_trip(trunk, seen.round_trip_ms / 1000)

    return observe
