"""Every fuzz target by name."""

from collections.abc import Callable

from tests.fuzz.media import RtcpTarget, RtpTarget, TelephoneEventTarget
from tests.fuzz.runner import Target
from tests.fuzz.sdp import SdpTarget
from tests.fuzz.sip import SipTarget
from tests.fuzz.sip_stream import SipStreamTarget

TARGETS: dict[str, Callable[[], Target]] = {
    "sip": SipTarget,
    "sip-stream": SipStreamTarget,
    "sdp": SdpTarget,
    "rtp": RtpTarget,
    "rtcp": RtcpTarget,
    "telephone-event": TelephoneEventTarget,
}
