"""Every fuzz target by name."""

from collections.abc import Callable

from tests.fuzz.media import RtcpTarget, RtpTarget, TelephoneEventTarget
from tests.fuzz.runner import Target
from tests.fuzz.sdp import SdpTarget
from tests.fuzz.sip import SipTarget

TARGETS: dict[str, Callable[[], Target]] = {
    "sip": SipTarget,
    "sdp": SdpTarget,
    "rtp": RtpTarget,
    "rtcp": RtcpTarget,
    "telephone-event": TelephoneEventTarget,
}
