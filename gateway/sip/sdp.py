"""Session descriptions for one G.711 audio stream: offer, answer, and what both agreed on (RFC 8866, RFC 3264)."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdes
from gateway.sip.sdes import Crypto, Keys

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
DIRECTIONS: dict[str, Direction] = {name: name for name in ("sendrecv", "sendonly", "recvonly", "inactive")}
MIRROR: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
STATIC = {0: "PCMU", 8: "PCMA"}  # RFC 3551, table 4
EVENTS = "telephone-event"  # RFC 4733
EVENTS_PAYLOAD_TYPE = 101  # any dynamic type does; everybody expects this one
PTIME_MS = 20
MAX_BYTES = 16_384
MEDIA_LINE = re.compile(r"audio ([0-9]{1,5})(?:/[0-9]+)? RTP/(S?)AVP ([0-9]{1,3}(?: [0-9]{1,3})*)\Z")
RTPMAP = re.compile(r"rtpmap:([0-9]{1,3}) ([^/\s]+)/([0-9]+)(?:/1)?\s*\Z")
CONNECTION = re.compile(r"IN IP[46] ([0-9A-Fa-f.:]+)(?:/[0-9]+)*\s*\Z")
NOWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- the old way of saying hold (RFC 3264, 8.4), not an address to bind


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of the audio stream, 8 kHz mono."""

    payload_type: int
    name: str


PCMU = Codec(0, "PCMU")
PCMA = Codec(8, "PCMA")


@dataclass(frozen=True, slots=True)
class Session:
    """One side's description.

    address, port: where that side hears RTP; port 0 means the stream is refused.
    codecs:        PCMU and PCMA only, in that side's order; others are not kept.
    events:        its payload type for telephone-event at 8 kHz, None if it takes none.
    direction:     from that side's view.
    crypto:        how it encrypts what it sends (RTP/SAVP); none: it does not (RTP/AVP).
    others:        m-lines before and after the audio one that an answer must refuse by name, as (position, line).
    rtcp_mux:      whether that side takes RTCP on the port of the audio (RFC 5761).
    """

    address: str
    port: int
    codecs: tuple[Codec, ...] = (PCMU, PCMA)
    events: int | None = EVENTS_PAYLOAD_TYPE
    direction: Direction = "sendrecv"
    session_id: int = 1
    version: int = 1
    others: tuple[tuple[int, str], ...] = ()
    rtcp_mux: bool = False
    crypto: tuple[Crypto, ...] = ()

    def encode(self) -> bytes:
        """Write the description as bytes for a SIP body."""
        family = "IP6" if ":" in self.address else "IP4"
        head = [
            "v=0",
            f"o=- {self.session_id} {self.version} IN {family} {self.address}",
            "s=-",
            f"c=IN {family} {self.address}",
            "t=0 0",
        ]
        blocks = [self._audio()]
        for position, line in sorted(self.others):
            blocks.insert(position, [line])
        return ("\r\n".join([*head, *(line for block in blocks for line in block)]) + "\r\n").encode()

    def _audio(self) -> list[str]:
        types = [codec.payload_type for codec in self.codecs] + ([] if self.events is None else [self.events])
        profile = "RTP/SAVP" if self.crypto else "RTP/AVP"
        lines = [f"m=audio {self.port} {profile} {' '.join(map(str, types))}"]
        lines += [f"a={crypto}" for crypto in self.crypto]
        lines += [f"a=rtpmap:{codec.payload_type} {codec.name}/8000" for codec in self.codecs]
        if self.events is not None:
            lines += [f"a=rtpmap:{self.events} {EVENTS}/8000", f"a=fmtp:{self.events} 0-15"]
        lines += ["a=rtcp-mux"] if self.rtcp_mux else []
        return [*lines, f"a=ptime:{PTIME_MS}", f"a={self.direction}"]


@dataclass(frozen=True, slots=True)
class Media:
    """What offer and answer agreed on, from our side: what the RTP engine needs.

    address, port:      where to send RTP.
    codec:              what to send, with the payload type the far end gave it.
    event_payload_type: for RFC 4733 digits; None where the far end takes none.
    sends, hears:       False while on hold in that direction.
    rtcp_mux:           whether RTCP goes over the port of the audio.
    keys:               of encrypted audio; None: it is sent in the clear.
    """

    address: str
    port: int
    codec: Codec
    event_payload_type: int | None
    sends: bool
    hears: bool
    rtcp_mux: bool = False
    keys: Keys | None = None


def parse(data: bytes) -> Session:
    """Read a description with an audio stream over RTP/AVP or RTP/SAVP; the first that is not refused (port 0) counts.

    Raises: BadSdp.
    """
    if len(data) > MAX_BYTES:
        raise BadSdp("a session description that is too long")
    common, blocks = _blocks(data)
    found = [(index, match) for index, block in enumerate(blocks) if (match := MEDIA_LINE.match(block[0][2:]))]
    if not found:
        raise BadSdp("no audio stream over RTP/AVP")
    audio, match = next((each for each in found if int(each[1][1])), found[0])
    block = blocks[audio]
    if int(match[1]) > 0xFFFF:
        raise BadSdp("an audio stream with an impossible port")
    codecs, events = _codecs([int(each) for each in match[3].split()], block)
    address = _connection(block) or _connection(common)
    direction = _direction(block) or _direction(common) or "sendrecv"
    if not address:
        raise BadSdp("no connection address")
    if address in NOWHERE and direction in {"sendrecv", "recvonly"}:
        direction = "sendonly" if direction == "sendrecv" else "inactive"
    others = tuple((index, _refused(other[0])) for index, other in enumerate(blocks) if index != audio)
    session_id, version = _origin(common)
    mux = "a=rtcp-mux" in block
    crypto = _crypto(block) if match[2] else ()
    if match[2] and not crypto:
        raise BadSdp("encrypted audio without a key that we can use")
    return Session(address, int(match[1]), codecs, events, direction, session_id, version, others, mux, crypto)


def _blocks(data: bytes) -> tuple[list[str], list[list[str]]]:
    """Split into the lines before the first m-line and one list of lines for each m-line."""
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines or lines[0] != "v=0" or any(line[1:2] != "=" for line in lines):
        raise BadSdp("not a session description")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    ends = [*starts[1:], len(lines)]
    return lines[: min(starts, default=len(lines))], [
        lines[start:end] for start, end in zip(starts, ends, strict=False)
    ]


def _connection(lines: list[str]) -> str:
    for line in lines:
        if line.startswith("c="):
            match = CONNECTION.match(line[2:])
            if match is None:
                raise BadSdp("a connection line without an IP address")
            return match[1]
    return ""


def _direction(lines: list[str]) -> Direction | None:
    return next((DIRECTIONS[line[2:]] for line in lines if line.startswith("a=") and line[2:] in DIRECTIONS), None)


def _origin(lines: list[str]) -> tuple[int, int]:
    parts = next((line[2:].split() for line in lines if line.startswith("o=")), [])
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts[1:3]):
        return 0, 0  # a broken origin costs nobody the call: nothing here depends on the far end's numbers
    return int(parts[1]), int(parts[2])


def _codecs(types: list[int], block: list[str]) -> tuple[tuple[Codec, ...], int | None]:
    """Return what we speak of the offered payload types, in order, and the one for telephone-event."""
    named = dict(STATIC)
    for line in block:
        match = RTPMAP.match(line[2:]) if line.startswith("a=rtpmap:") else None
        if match is not None:
            named[int(match[1])] = match[2] if match[3] == "8000" else ""
    names = [(each, named.get(each, "")) for each in types if each <= 127]
    codecs = tuple(Codec(each, name.upper()) for each, name in names if name.upper() in STATIC.values())
    events = next((each for each, name in names if name.lower() == EVENTS), None)
    return codecs, events


def _crypto(block: list[str]) -> tuple[Crypto, ...]:
    found = (sdes.parse(line[2:]) for line in block if line.startswith("a=crypto:"))
    return tuple(crypto for crypto in found if crypto is not None)


def _refused(line: str) -> str:
    """Return an m-line that refuses the stream offered by `line`: port 0, the rest as it was (RFC 3264, section 6)."""
    parts = line.split(" ")
    if len(parts) < 4:
        raise BadSdp("an m-line that is too short")
    return " ".join([parts[0], "0", *parts[2:]])


def answer(offer: Session, ours: Session) -> Session:
    """Answer an offer with what `ours` has in common with it: its payload types, its order, our address.

    ours:    what we would offer ourselves; its session id is kept, and so is its version.
    Raises:  NoCommonCodec.
    Source:  RFC 3264, section 6.
    """
    spoken = {codec.name for codec in ours.codecs}
    common = tuple(codec for codec in offer.codecs if codec.name in spoken)
    if not common or not offer.port:
        raise NoCommonCodec("the offer has no codec that we speak")
    crypto = sdes.choose(offer.crypto, ours.crypto)
    if bool(offer.crypto) != bool(ours.crypto) or (offer.crypto and crypto is None):
        raise NoCommonCodec("one side encrypts the audio, the other does not")
    wanted = MIRROR.get(offer.direction, offer.direction)
    events = offer.events if ours.events is not None else None
    return replace(
        ours,
        codecs=common,
        events=events,
        direction=_both(wanted, ours.direction),
        others=offer.others,
        rtcp_mux=offer.rtcp_mux and ours.rtcp_mux,
        crypto=(crypto,) if crypto is not None else (),
    )


def _both(one: Direction, other: Direction) -> Direction:
    """Return the direction that both allow."""
    sends = "send" in one and "send" in other
    hears = "recv" in one and "recv" in other
    if sends and hears:
        return "sendrecv"
    return "sendonly" if sends else "recvonly" if hears else "inactive"


def agree(answered: Session, local: Session, remote: Session) -> Media:
    """Say what an offer and its answer agreed on.

    answered: whichever of the two others is the answer; its first common codec is used.
    Raises:   NoCommonCodec where nothing is common or the stream was refused.
    """
    names = {codec.name for codec in local.codecs} & {codec.name for codec in remote.codecs}
    chosen = next((codec.name for codec in answered.codecs if codec.name in names), "")
    if not chosen or not remote.port or not local.port:
        raise NoCommonCodec("the answer has no codec that was offered")
    codec = next(codec for codec in remote.codecs if codec.name == chosen)
    events = remote.events if local.events is not None else None
    ours = _both(local.direction, MIRROR.get(remote.direction, remote.direction))
    keys = sdes.agree(local.crypto, remote.crypto)
    if keys is None and (local.crypto or remote.crypto):
        raise NoCommonCodec("one side encrypts the audio, the other does not")
    mux = local.rtcp_mux and remote.rtcp_mux
    return Media(remote.address, remote.port, codec, events, "send" in ours, "recv" in ours, mux, keys)
