"""What both ends of one call describe of its session: offers and their answers (RFC 3264)."""

from dataclasses import replace

from gateway.errors.sip import BadSdp
from gateway.sip import sdp
from gateway.sip.message import Request
from gateway.sip.sdp import Media, Session

SDP = "application/sdp"
SDP_TYPE = ("Content-Type", SDP)


class Negotiation:
    """One call's. `local` is what we last described, None while we have not; `ours` what we can do."""

    def __init__(self) -> None:
        self.local: Session | None = None
        self.ours = Session("", 0)  # the base of each further description

    def renew(self, request: Request) -> Media:
        """Answer a new offer with what we have: `local` becomes that answer. Raises BadSdp, NoCommonCodec."""
        if request.get("Content-Type").partition(";")[0].strip().lower() != SDP or self.local is None:
            raise BadSdp("not a session description")
        remote = sdp.parse(request.body)
        answer = sdp.answer(remote, self.own_offer())
        media = sdp.agree(answer, answer, remote)
        self.local = answer
        return media

    def own_offer(self) -> Session:
        """Return a full offer of ours in the next version of the running session (section 8). Raises BadSdp."""
        if self.local is None:
            raise BadSdp("no session yet")
        return replace(
            self.local,
            codecs=self.ours.codecs,
            events=self.ours.events,
            crypto=self.ours.crypto,
            direction="sendrecv",
            version=self.local.version + 1,
        )

    def agree(self, body: bytes) -> Media | None:
        """Read the answer to what we last described; None where there is nothing. Raises BadSdp, NoCommonCodec."""
        if not body or self.local is None:
            return None
        remote = sdp.parse(body)
        return sdp.agree(remote, self.local, remote)

    def description(self) -> bytes:
        """Return the running session as we last described it: offered again, it changes nothing."""
        return self.local.encode() if self.local is not None else b""
