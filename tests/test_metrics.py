"""Metrics: what is counted is shown, in a form that Prometheus reads."""

import re

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import CONTENT_TYPE, Metrics


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics()
    metrics.messages.labels(state="queued").inc(3)
    metrics.sends.labels(carrier="twilio", outcome="unknown").inc()
    metrics.waiting.labels(channel="sms", state="held").set(7)
    metrics.gate_seconds.observe(0.0004)

    text = metrics.render().decode()

    assert 'gateway_messages_total{state="queued"} 3.0' in text
    assert 'gateway_sends_total{carrier="twilio",outcome="unknown"} 1.0' in text
    assert 'gateway_waiting{channel="sms",state="held"} 7.0' in text
    assert 'gateway_gate_seconds_bucket{le="0.0005"} 1.0' in text
    assert CONTENT_TYPE.startswith("text/plain")


def test_prometheus_own_parser_reads_every_family_with_its_help() -> None:
    families = {family.name: family for family in text_string_to_metric_families(Metrics().render().decode())}

    assert {"gateway_messages", "gateway_http_request_seconds", "process_open_fds"} <= families.keys()
    assert all(family.documentation for family in families.values())


def test_two_gateways_in_one_process_do_not_mix() -> None:
    one, other = Metrics(), Metrics()
    one.calls.labels(state="answered").inc()

    assert b'state="answered"' not in other.render()
    assert not any(family.name.startswith("gateway_") for family in REGISTRY.collect())


def test_names_and_units_follow_prometheus_rules() -> None:
    """Base units only, and no label that could hold a telephone number or an identifier."""
    for metric in vars(Metrics()).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            assert re.fullmatch(r"gateway_[a-z_]+", metric._name)
            assert isinstance(metric, Histogram) == metric._name.endswith("_seconds")
            assert not {"to", "from", "number", "id", "tenant", "sender", "recipient"} & set(metric._labelnames)
