"""Metrics: every figure the gateway shows to Prometheus, named here and nowhere else.

Labels take values from closed sets (states, outcomes, reasons, names of carriers and routes): never a number, a
tenant's text or an identifier, which would also make a time series of each.
"""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

__all__ = ["CONTENT_TYPE", "Metrics"]

WEB_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LATE_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """One set of metrics with a registry of its own, so that two gateways in one process do not mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        self.messages = Counter("gateway_messages", "Messages that entered a state.", ["state"], registry=registry)
        self.sends = Counter(
            "gateway_sends",
            "Offers to a carrier by outcome: accepted, refused, throttled, not_sent, unknown.",
            ["carrier", "outcome"],
            registry=registry,
        )
        self.send_seconds = Histogram(
            "gateway_send_seconds",
            "Time from offering a message to the carrier's answer.",
            ["carrier"],
            buckets=WEB_SECONDS,
            registry=registry,
        )
        self.slot_lateness_seconds = Histogram(
            "gateway_slot_lateness_seconds",
            "How long after its slot a message was written.",
            buckets=LATE_SECONDS,
            registry=registry,
        )
        self.grants = Counter(
            "gateway_gate_grants", "Units the gate let through: segment, message, call.", ["unit"], registry=registry
        )
        self.refusals = Counter(
            "gateway_gate_refusals", "Times the gate said not now, by reason.", ["reason"], registry=registry
        )
        self.gate_seconds = Histogram(
            "gateway_gate_seconds", "Time of one question to the gate.", buckets=LATE_SECONDS, registry=registry
        )
        self.waiting = Gauge(
            "gateway_waiting",
            "What has not ended yet, by channel (sms, voice) and state (queued, held, sending …).",
            ["channel", "state"],
            registry=registry,
        )
        self.webhooks = Counter(
            "gateway_webhooks",
            "What carriers called, by kind (inbound, status, voice) and outcome (taken, repeated, bad_signature …).",
            ["carrier", "kind", "outcome"],
            registry=registry,
        )
        self.callbacks = Counter(
            "gateway_callbacks",
            "Tries to deliver an event: delivered, retried, given_up.",
            ["outcome"],
            registry=registry,
        )
        self.callbacks_waiting = Gauge("gateway_callbacks_waiting", "Events not delivered yet.", registry=registry)
        self.calls = Counter("gateway_calls", "Calls that entered a state.", ["state"], registry=registry)
        self.channels = Gauge("gateway_channels", "Calls going on, by trunk.", ["trunk"], registry=registry)
        self.sip_ignored = Counter(
            "gateway_sip_ignored",
            "SIP datagrams ignored: garbage, or foreign (not from the trunk).",
            ["why"],
            registry=registry,
        )
        self.rtp_ignored = Counter(
            "gateway_rtp_ignored",
            "RTP packets ignored: garbage, or foreign (not from the call's far end).",
            ["why"],
            registry=registry,
        )
        self.requests = Counter(
            "gateway_http_requests",
            "Requests answered, by route pattern.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "gateway_http_request_seconds",
            "Time to answer a request.",
            ["route"],
            buckets=WEB_SECONDS,
            registry=registry,
        )

    def render(self) -> bytes:
        """Write everything in Prometheus's text format, to be served as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
