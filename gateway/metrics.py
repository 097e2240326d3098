"""Metrics: every figure the gateway shows to Prometheus, named here and nowhere else.

Labels take values from closed sets (states, outcomes, reasons, names of carriers and routes): never a number, a
tenant's text or an identifier, which would also make a time series of each.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "LineMetrics", "Metrics"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads

WEB_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SERIES: Final = 1024  # of one metric that are found at once
LATE_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
JITTER_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
TRIP_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1)  # 0.3: as much as talk bears (ITU-T G.114)


Tally = Mapping[str, int]


class Ignored(Collector):
    """What trunks threw away, by reason. They count it themselves, where it arrives; it is read when somebody asks."""

    def __init__(self) -> None:
        self._trunks: dict[str, tuple[Callable[[], tuple[Tally, Tally]], Callable[[], str]]] = {}

    def watch(self, trunk: str, tallies: Callable[[], tuple[Tally, Tally]], trouble: Callable[[], str]) -> None:
        """Show whether a trunk is up, and what it counts: SIP messages and RTP packets, each by reason."""
        self._trunks[trunk] = tallies, trouble

    def collect(self) -> Iterator[Metric]:
        """As Prometheus's client asks for it."""
        labels = ["trunk", "why"]
        sip = CounterMetricFamily(
            "gateway_sip_ignored",
            "SIP messages dropped or refused: garbage, foreign (not the trunk's).",
            labels=labels,
        )
        rtp = CounterMetricFamily(
            "gateway_rtp_ignored",
            "RTP packets dropped: bad, foreign (not the far end's), told as a call ends.",
            labels=labels,
        )
        up = GaugeMetricFamily(
            "gateway_trunk_up", "1 where a trunk answers and has accepted us, 0 where calls wait.", labels=["trunk"]
        )
        for trunk, (tallies, trouble) in self._trunks.items():
            up.add_metric([trunk], 0 if trouble() else 1)
            for family, tally in zip((sip, rtp), tallies(), strict=True):
                for why, count in tally.items():
                    family.add_metric([trunk, why], count)
        return iter((sip, rtp, up))


class LineMetrics:
    """What calls over trunks sounded like, told as each ends.

    Every figure has a trunk and a way: `in` is what we heard of the far end; `out` what it heard of us, by its own
    reports (RTCP), for calls that had some. The share lost is `gateway_rtp_lost` over `gateway_rtp_packets`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["trunk", "way"]
        self.packets = Counter(
            "gateway_rtp_packets", "RTP packets that were to arrive, as calls end.", labels, registry=registry
        )
        self.lost = Counter("gateway_rtp_lost", "Those of them that did not.", labels, registry=registry)
        self.jitter_seconds = Histogram(
            "gateway_rtp_jitter_seconds",
            "Jitter at the end of a call (RFC 3550, section 6.4.1).",
            labels,
            buckets=JITTER_SECONDS,
            registry=registry,
        )
        self.round_trip_seconds = Histogram(
            "gateway_rtp_round_trip_seconds",
            "Time to the far end and back, as its last report in a call tells.",
            ["trunk"],
            buckets=TRIP_SECONDS,
            registry=registry,
        )

    def heard(self, trunk: str, *, expected: int, lost: int, jitter_s: float) -> None:
        """A call has ended in which we were to hear so many packets; without any it tells nothing."""
        self._count(trunk, "in", expected, lost, jitter_s)

    def spoken(self, trunk: str, *, sent: int, lost: int, jitter_s: float) -> None:
        """The same, of what the far end was to hear."""
        self._count(trunk, "out", sent, lost, jitter_s)

    def _count(self, trunk: str, way: str, packets: int, lost: int, jitter_s: float) -> None:
        if packets:
            self.packets.labels(trunk, way).inc(packets)
            self.lost.labels(trunk, way).inc(lost)
            self.jitter_seconds.labels(trunk, way).observe(jitter_s)

    def round_trip(self, trunk: str, seconds: float) -> None:
        """What a call's last report told of the way there and back."""
        self.round_trip_seconds.labels(trunk).observe(seconds)


class Metrics:
    """One set of metrics with a registry of its own, so that two gateways in one process do not mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        self.messages = Counter(
            "gateway_messages", "Messages that entered a state (from the event log).", ["state"], registry=registry
        )
        self.sends = Counter(
            "gateway_sends",
            "Offers to a carrier by outcome: accepted, refused, throttled, not_sent, unknown.",
            ["carrier", "outcome"],
            registry=registry,
        )
        self.settled = Counter(
            "gateway_unknown_settled",
            "Texts whose carrier never answered: carrier (found in its list), resent (a flagged copy), person, "
            "unsettled (left to a person).",
            ["how"],
            registry=registry,
        )
        self.reports = Counter(
            "gateway_reports",
            "Delivery reports by what they did: moved, kept (too late to move anything), nothing (known already or "
            "repeated), early (names no message of ours yet).",
            ["effect"],
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
        self.callbacks = Counter(
            "gateway_callbacks",
            "Tries to deliver an event: delivered, retried, given_up.",
            ["outcome"],
            registry=registry,
        )
        self.callbacks_waiting = Gauge("gateway_callbacks_waiting", "Events not delivered yet.", registry=registry)
        self.calls = Counter(
            "gateway_calls", "Calls that entered a state (from the event log).", ["state"], registry=registry
        )
        self.abandoned_share = Gauge(
            "gateway_abandoned_share",
            "Of telemarketing calls that people answered in the last 30 days, the share (0 to 1) whose message began "
            "more than two seconds after their greeting, or never.",
            registry=registry,
        )
        self.channels = Gauge(
            "gateway_channels", "Channels in use, by scope (trunk:NAME).", ["scope"], registry=registry
        )
        self.media_ends = Counter(
            "gateway_media_ends",
            "Media processes that ended by themselves (died) or gave no sign of life and were killed (hung), each "
            "with its calls; another is started.",
            ["why"],
            registry=registry,
        )
        self.ignored = Ignored()
        registry.register(self.ignored)
        self.line = LineMetrics(registry)
        self.requests = Counter(
            "gateway_http_requests",
            "Requests answered, by route pattern; carriers' webhooks among them (403: not signed by the carrier).",
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

        for each in (self.sends, self.reports, self.send_seconds, self.requests, self.request_seconds):
            # asked for with every text; the client's own look-up takes a lock and sorts the names anew
            each.labels = lru_cache(_SERIES)(each.labels)  # type: ignore[method-assign, assignment]

    def render(self) -> bytes:
        """Write everything in Prometheus's text format, to be served as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
