"""Encrypted audio (SRTP, RFC 3711) on one stream, by pylibsrtp: the `[srtp]` extra, loaded where it is used."""

import base64
from typing import TYPE_CHECKING, Any

from gateway.media.rtcp import is_rtcp

if TYPE_CHECKING:
    from pylibsrtp import Session

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": "SRTP_PROFILE_AES128_CM_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32": "SRTP_PROFILE_AES128_CM_SHA1_32",
}


def words(suite: str, sends: bytes, hears: bytes) -> dict[str, str]:
    """Keys as they go to the media process."""
    return {"suite": suite, "sends": base64.b64encode(sends).decode(), "hears": base64.b64encode(hears).decode()}


class Cipher:
    """Both directions of one stream. `told` is what `words` made."""

    def __init__(self, told: dict[str, str]) -> None:
        self.told = told
        self._sends = _session(told["suite"], told["sends"], "SSRC_ANY_OUTBOUND")
        self._hears = _session(told["suite"], told["hears"], "SSRC_ANY_INBOUND")

    def protect(self, packet: bytes) -> bytes:
        """Encrypt and sign a packet of RTP or RTCP."""
        return self._sends.protect_rtcp(packet) if is_rtcp(packet) else self._sends.protect(packet)

    def unprotect(self, packet: bytes) -> bytes:
        """Check and decrypt a packet of RTP or RTCP; b"" where it is forged, or came before."""
        from pylibsrtp import Error  # noqa: PLC0415  an extra

        try:
            return self._hears.unprotect_rtcp(packet) if is_rtcp(packet) else self._hears.unprotect(packet)
        except (Error, TypeError):
            return b""


def _session(suite: str, key: str, direction: str) -> "Session":
    from pylibsrtp import Policy, Session  # noqa: PLC0415  an extra

    kind: Any = Policy
    profile = getattr(kind, PROFILES[suite])
    return Session(Policy(base64.b64decode(key), getattr(kind, direction), srtp_profile=profile))
