"""What carriers send."""

from gateway.errors import GatewayError


class BadReport(GatewayError):
    """A carrier's webhook was signed but does not say what it must."""

    slug, status = "bad_report", 400


class CarrierListUnread(GatewayError):
    """The carrier's own list of texts could not be read whole, so nothing is known to be missing in it."""

    slug, status = "carrier_list_unread", 502

    def __init__(self, carrier: str, why: str) -> None:
        super().__init__(f"the list of {carrier} could not be read: {why}")


class PyVoipMissing(GatewayError):
    """A trunk is to be driven by pyVoIP, which is not installed: it is the extra [pyvoip], under the GPL-3.0."""

    slug, status = "pyvoip_missing", 500

    def __init__(self, trunk: str) -> None:
        super().__init__(f"trunk {trunk} needs pyVoIP: install campaign-gateway[pyvoip], or leave its driver away")


class BadSignature(GatewayError):
    """A carrier's webhook is not signed by that carrier. The log says which URL would have verified."""

    slug, status = "bad_signature", 403
