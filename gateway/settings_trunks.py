"""Settings of voice: our own end of SIP and RTP, and the trunks."""

import ipaddress
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, SecretStr

from gateway.settings_layers import Key
from gateway.settings_types import NO_SECRET, Address, CallerId, Codecs, PerSecond, Port, Section, Text, like, split

SHORTEST_SESSION_S = 90
CallerName = Annotated[str, AfterValidator(like(r"[^\x00-\x1f\x7f]{1,80}", "one line of at most 80 characters"))]
OTHER_ROADS = frozenset({"twilio", "practice"})  # a sender names its road; a trunk of that name would be another one


class Sip(Section):
    """Our own end of SIP and RTP, shared by all trunks that do not say otherwise."""

    host: Annotated[Address, Field(min_length=1)] = "127.0.0.1"
    port: Port = 5060
    advertised_ip: Address = ""
    rtp_port_min: Annotated[int, Field(ge=1024, le=65534)] = 20_000
    rtp_port_max: Annotated[int, Field(ge=1025, le=65535)] = 29_999
    media_processes: Annotated[int, Field(ge=1, le=64)] = 1
    dscp: Annotated[int, Field(ge=0, le=63)] = 46


class Trunk(Section):
    """One voice carrier's route over SIP."""

    host: Text
    port: Port = 0
    transport: Literal["udp", "tcp", "tls"] = "udp"
    large_requests_over_tcp: bool = False
    networks: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(split)] = ()
    tls_ca_file: str = ""
    tls_verify: bool = True
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    srtp: bool = False
    options_interval_s: Annotated[float, Field(ge=0)] = 30
    options_misses: Annotated[int, Field(ge=1, le=100)] = 3
    register_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    session_expires_s: Annotated[int, Field(ge=0, le=86_400)] = 1800
    username: str = ""
    password: SecretStr = NO_SECRET
    realm: str = ""
    from_domain: str = ""
    caller_id: CallerId = ""
    caller_name: CallerName = ""
    asserted_identity: bool = False
    codecs: Codecs = ("PCMU", "PCMA")
    calls_per_second: PerSecond = 1
    channels: Annotated[int, Field(ge=1)] = 10
    ring_timeout_s: Annotated[int, Field(ge=1, le=180)] = 30
    machine_detection: bool = True
    machine_silence_ms: Annotated[int, Field(ge=1_000, le=10_000)] = 3_000
    machine_greeting_ms: Annotated[int, Field(ge=1_000, le=6_000)] = 2_400
    machine_after_greeting_ms: Annotated[int, Field(ge=300, le=5_000)] = 1_200
    machine_no_beep_ms: Annotated[int, Field(ge=1_000, le=20_000)] = 4_000
    machine_timeout_ms: Annotated[int, Field(ge=3_000, le=120_000)] = 30_000
    driver: Literal["", "pyvoip"] = ""
    transfer: Literal["refer", "bridge", "refer_or_bridge"] = "refer_or_bridge"
    local_host: Address = ""
    local_port: Port = 0
    advertised_ip: Address = ""


def with_defaults(trunks: Mapping[str, Trunk], ours: Sip) -> dict[str, Trunk]:
    """Fill what a trunk leaves to `[sip]`, so that a trunk can be read by itself."""
    return {
        name: trunk.model_copy(
            update={
                "local_host": trunk.local_host or ours.host,
                "local_port": trunk.local_port or ours.port,
                "advertised_ip": trunk.advertised_ip or ours.advertised_ip or trunk.local_host or ours.host,
            }
        )
        for name, trunk in trunks.items()
    }


def _shared_ports(trunks: Mapping[str, Trunk]) -> Iterator[tuple[Key, str]]:
    taken: dict[tuple[str, int], str] = {}
    for name, trunk in trunks.items():
        first = taken.setdefault((trunk.local_host, trunk.local_port), name)
        if trunk.local_port and first != name:
            yield ("trunks", name, "local_port"), f"is trunk {first}'s too: each trunk listens on a port of its own"


def _sip_contradictions(trunk: Trunk) -> Iterator[tuple[str, str]]:
    if any(network.prefixlen == 0 for network in trunk.networks):
        yield "networks", "must not hold every address: anyone could then call as the carrier"
    if trunk.transport != "tls" and (trunk.tls_ca_file or trunk.tls_certificate_file or not trunk.tls_verify):
        yield "transport", 'must be "tls" where certificates are set'
    if trunk.srtp and trunk.transport != "tls":
        yield "transport", 'must be "tls" with srtp: its keys stand in what is spoken'
    if trunk.srtp and find_spec("pylibsrtp") is None:
        yield "srtp", "needs the srtp extra: pip install campaign-gateway[srtp]"
    if bool(trunk.tls_certificate_file) != bool(trunk.tls_key_file):
        missing = "tls_key_file" if trunk.tls_certificate_file else "tls_certificate_file"
        yield missing, "must be set: tls_certificate_file and tls_key_file go together"
    if trunk.large_requests_over_tcp and trunk.transport != "udp":
        yield "large_requests_over_tcp", 'must be off unless transport is "udp": there all of them go over a stream'
    if trunk.register_s and not trunk.username:
        yield "username", "must be set with register_s: it is what is registered"
    if 0 < trunk.session_expires_s < SHORTEST_SESSION_S:
        yield "session_expires_s", f"must be 0, or {SHORTEST_SESSION_S} at least (RFC 4028)"


def contradictions(trunks: Mapping[str, Trunk], sip: Sip) -> Iterator[tuple[Key, str]]:
    """What is wrong between settings that are each right by themselves."""
    ports = (sip.rtp_port_max - sip.rtp_port_min + 1) // 2  # RTP takes the even ports
    if sip.rtp_port_min > sip.rtp_port_max:
        yield ("sip", "rtp_port_max"), "must not be less than sip.rtp_port_min"
    elif sum(trunk.channels for trunk in trunks.values()) > ports:
        yield ("sip", "rtp_port_max"), "leaves fewer even RTP ports than the trunks have channels together"
    yield from _shared_ports(trunks)
    for name, trunk in trunks.items():
        if name in OTHER_ROADS:
            yield ("trunks", name), "is the name of another road; give the trunk one of its own"
        if bool(trunk.username) != bool(trunk.password.get_secret_value()):
            missing = "password" if trunk.username else "username"
            yield ("trunks", name, missing), "must be set: username and password go together"
        if ipaddress.ip_address(trunk.advertised_ip or trunk.local_host or "::").is_unspecified:
            yield ("trunks", name, "advertised_ip"), "must be set here or in [sip]: the far end cannot answer 0.0.0.0"
        yield from ((("trunks", name, key), why) for key, why in _sip_contradictions(trunk))
        if len(set(trunk.codecs)) != len(trunk.codecs):
            yield ("trunks", name, "codecs"), "names a codec twice"
