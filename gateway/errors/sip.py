"""SIP messages, SDP and trunks."""

from gateway.errors import GatewayError


class BadSipMessage(GatewayError):
    """A SIP message that breaks RFC 3261's grammar. `answer` is the SIP status a request of this kind is owed."""

    slug, status = "bad_sip_message", 400

    def __init__(self, why: str, answer: int = 400) -> None:
        super().__init__(why)
        self.answer = answer


class BadSdp(GatewayError):
    """A session description that cannot be read, or that has no audio stream."""

    slug, status = "bad_sdp", 422


class NoCommonCodec(GatewayError):
    """Offer and answer share no codec that we speak, or the audio stream was refused (port 0)."""

    slug, status = "no_common_codec", 422


class UnsafeSipValue(GatewayError):
    """A value handed in for a SIP header holds control characters, or names a header that is ours to write."""

    slug, status = "unsafe_sip_value", 422


class SipAddressTaken(GatewayError):
    """The address for SIP could not be bound: another process holds it, or it is not this machine's."""

    slug, status = "sip_address_taken", 503

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen for SIP on {host}:{port}: {why}")
        self.host = host
        self.port = port


class BadSipCertificate(GatewayError):
    """A certificate, key or list of authorities for SIP over TLS cannot be used."""

    slug, status = "bad_sip_certificate", 503


class SipTrunkUnresolved(GatewayError):
    """The trunk's host name has no address."""

    slug, status = "sip_trunk_unresolved", 503

    def __init__(self, host: str) -> None:
        super().__init__(f"no address found for the SIP trunk {host!r}")
        self.host = host


class TooManyCalls(GatewayError):
    """The user agent already holds as many calls as it may."""

    slug, status = "too_many_calls", 503
