"""Session descriptions: read, answered, and agreed on."""

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdp
from gateway.sip.sdp import Session

OURS = Session("192.0.2.1", 4000)
TYPICAL = (
    b"v=0\r\no=FreeSWITCH 1699999999 1700000000 IN IP4 198.51.100.7\r\ns=FreeSWITCH\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    b"m=audio 16384 RTP/AVP 9 0 8 101 13\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:16385 IN IP4 198.51.100.7\r\n"
    b"m=video 0 RTP/AVP 31\r\nm=image 5004 udptl t38\r\n"
)


class SdpTarget:
    """Answers what can be read, and reads its own answer."""

    seeds = (
        TYPICAL,
        OURS.encode(),
        Session("2001:db8::1", 6000, direction="sendonly").encode(),
        TYPICAL.replace(b"c=IN IP4 198.51.100.7", b"c=IN IP4 0.0.0.0"),
    )
    refused = (BadSdp, NoCommonCodec)

    def feed(self, data: bytes) -> None:
        offer = sdp.parse(data)
        answer = sdp.answer(offer, OURS)
        media = sdp.agree(answer, answer, offer)
        assert 0 < media.port <= 0xFFFF
        again = sdp.parse(answer.encode())
        assert (again.codecs, again.direction) == (answer.codecs, answer.direction)

    def settle(self) -> None:
        """Nothing is kept between inputs."""
