"""What Prometheus is told of a trunk's audio."""

from gateway.carriers.line_quality import observer
from gateway.media.events import Stats
from gateway.metrics import Metrics

SEEN = Stats(sent=500, received=480, lost=20, jitter_ms=4.0, far_lost=5, far_jitter_ms=12.0, round_trip_ms=180.0)


def shown(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gateway_rtp_{name}", {"trunk": "main", **labels})


def test_what_both_ends_heard_is_shown_for_each_trunk() -> None:
    metrics = Metrics()
    observe = observer(metrics.line, "main")
    observe(SEEN)
    observe(SEEN)

    assert [shown(metrics, "packets_total", way=way) for way in ("in", "out")] == [1000, 1000]
    assert [shown(metrics, "lost_total", way=way) for way in ("in", "out")] == [40, 10]
    assert [shown(metrics, "jitter_seconds_sum", way=way) for way in ("in", "out")] == [0.008, 0.024]
    assert shown(metrics, "round_trip_seconds_bucket", le="0.2") == 2
    assert shown(metrics, "round_trip_seconds_bucket", le="0.15") == 0


def test_a_far_end_without_reports_and_a_call_without_audio_tell_nothing() -> None:
    metrics = Metrics()
    observer(metrics.line, "main")(Stats(sent=500))
    observer(metrics.line, "main")(Stats(received=10, far_lost=-3, far_jitter_ms=0.0, sent=10))

    assert shown(metrics, "packets_total", way="in") == 10
    assert (shown(metrics, "packets_total", way="out"), shown(metrics, "lost_total", way="out")) == (10, 0)
    assert shown(metrics, "round_trip_seconds_count") is None
