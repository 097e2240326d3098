"""What a user agent tells its caller. `call` is the handle that `invite` returned or `Incoming` brought."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from gateway.sip.message import Request, readable
from gateway.sip.sdp import Media, Session

Side = Literal["us", "them", "timeout"]


@dataclass(frozen=True, slots=True)
class Trying:
    """The next hop has our INVITE."""

    call: str


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end rings. Told once a call."""

    call: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Early media: something is heard before the answer (an announcement, a ring tone)."""

    call: str
    media: Media


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is up; `media` says where RTP goes. For an inbound call it comes with the caller's ACK."""

    call: str
    media: Media


@dataclass(frozen=True, slots=True)
class Changed:
    """The far end moved its media, put us on hold or took us off it; we agreed."""

    call: str
    media: Media


@dataclass(frozen=True, slots=True)
class Info:
    """An INFO inside the call came and was answered 200; digits may be in it (application/dtmf-relay)."""

    call: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Referred:
    """What became of our REFER: how the far end's call to the target goes.

    status:  of that call, as its NOTIFY says; 100 once the REFER was taken on; the REFER's own where it was refused.
    final:   nothing more will be told. A final status below 200: the far end says no more, it has the call.
    refused: the far end does not take a REFER, or none now.
    """

    call: str
    status: int
    final: bool
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The call never came up. Last event of the call.

    status: SIP status, 300 to 699.
    local:  True where no such response came: 408 nothing was heard in time or the connection broke, 487 we gave up,
            488 the answer was unusable, 503 no INVITE left, and whatever we refused an inbound call with.
    in_doubt: an INVITE left of which nothing was ever heard: somebody may have taken the call on.
    """

    call: str
    status: int
    reason: str
    local: bool = False
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The call was up and is over. Last event of the call.

    by:     "us", "them", or "timeout" where the ACK for our answer never came.
    status: what answered the BYE; 408 where nothing did.
    """

    call: str
    by: Side
    status: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """Somebody calls: ring, accept or reject. `offer` is None where the caller wants us to make the offer."""

    call: str
    request: Request
    offer: Session | None

    @property
    def to_user(self) -> str:
        """The user part of the Request-URI: the number that was called."""
        return user_of(self.request.uri)

    @property
    def from_user(self) -> str:
        """The user part of From: the number that calls; "" where there is none."""
        return user_of(self.request.from_.uri)


def user_of(uri: str) -> str:
    """Return the unescaped user part of a sip: or tel: URI, "" where it has none."""
    scheme, _, rest = uri.partition(":")
    user, at, _ = rest.partition("@")
    number = user.partition(";")[0].partition(":")[0] if at or scheme.lower() == "tel" else ""
    return unquote(readable(number))


Event = Trying | Ringing | Progress | Answered | Changed | Info | Referred | Failed | Ended | Incoming
LAST = (Failed, Ended)
