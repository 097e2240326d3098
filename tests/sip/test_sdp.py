"""Session descriptions: what is offered, answered and agreed on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip.sdp import PCMA, PCMU, Codec, Direction, Session, agree, answer, parse

OURS = Session("192.0.2.1", 4000)
# Shaped as RFC 3264, section 10.1, shows an offer with several streams and codecs.
OFFER = b"""v=0\r
o=alice 2890844526 2890844526 IN IP4 host.example\r
s=\r
c=IN IP4 198.51.100.7\r
t=0 0\r
m=video 51372 RTP/AVP 31\r
a=rtpmap:31 H261/90000\r
m=audio 49170 RTP/AVP 97 8 0 96\r
a=rtpmap:97 iLBC/8000\r
a=rtpmap:96 telephone-event/8000\r
a=fmtp:96 0-15\r
m=audio 49180 RTP/SAVP 0\r
"""


def test_what_is_written_is_read_back_the_same() -> None:
    session = Session("192.0.2.1", 4000, (PCMA, PCMU), 96, "sendonly", 7, 3)

    assert parse(session.encode()) == session


def test_codecs_keep_the_offers_order_and_unknown_ones_are_dropped() -> None:
    offer = parse(OFFER)

    assert (offer.address, offer.port, offer.events) == ("198.51.100.7", 49170, 96)
    assert offer.codecs == (PCMA, PCMU)


def test_an_answer_refuses_the_other_streams_in_their_places() -> None:
    lines = answer(parse(OFFER), OURS).encode().decode().splitlines()

    assert [line for line in lines if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 31",
        "m=audio 4000 RTP/AVP 8 0 96",
        "m=audio 0 RTP/SAVP 0",
    ]


def test_the_first_audio_stream_that_is_not_refused_counts() -> None:
    refused = Session("198.51.100.7", 0).encode()
    read = parse(refused + b"m=audio 6000 RTP/AVP 8\r\n")

    assert (read.port, read.codecs) == (6000, (PCMA,))
    assert parse(refused).port == 0


def test_the_far_ends_payload_type_is_used_for_digits() -> None:
    remote = parse(OFFER)
    media = agree(answer(remote, OURS), answer(remote, OURS), remote)

    assert (media.codec, media.event_payload_type) == (PCMA, 96)


def test_a_dynamic_payload_type_for_a_known_codec_is_understood() -> None:
    remote = Session("198.51.100.7", 6000, (Codec(110, "PCMU"),), None)

    assert agree(remote, OURS, parse(remote.encode())).codec == Codec(110, "PCMU")
    assert agree(remote, OURS, remote).event_payload_type is None


@pytest.mark.parametrize(
    ("direction", "answered", "sends", "hears"),
    [
        ("sendrecv", b"a=sendrecv", True, True),
        ("sendonly", b"a=recvonly", False, True),
        ("recvonly", b"a=sendonly", True, False),
        ("inactive", b"a=inactive", False, False),
    ],
)
def test_hold_is_answered_in_the_mirror(direction: Direction, answered: bytes, sends: bool, hears: bool) -> None:
    offer = Session("198.51.100.7", 6000, direction=direction)
    ours = answer(offer, OURS)
    media = agree(ours, ours, offer)

    assert answered in ours.encode()
    assert (media.sends, media.hears) == (sends, hears)


def test_the_old_way_of_holding_is_understood() -> None:
    held = parse(Session("0.0.0.0", 6000).encode())  # noqa: S104 -- RFC 3264, 8.4

    assert held.direction == "sendonly"


@pytest.mark.parametrize(
    "remote",
    [Session("198.51.100.7", 0), Session("198.51.100.7", 6000, ()), Session("198.51.100.7", 6000, (Codec(9, "G722"),))],
    ids=["refused", "no codec", "another codec"],
)
def test_without_a_common_codec_there_is_no_media(remote: Session) -> None:
    with pytest.raises(NoCommonCodec):
        agree(remote, OURS, remote)
    with pytest.raises(NoCommonCodec):
        answer(remote, OURS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"v=0\r\n",
        b"hello",
        OFFER.replace(b"RTP/AVP 97", b"RTP/SAVP 97"),
        OFFER.replace(b"49170", b"99999"),
        OFFER.replace(b"c=IN IP4 198.51.100.7\r\n", b""),
        OFFER.replace(b"198.51.100.7", b"name.example"),
        OFFER.replace(b"m=video 51372 RTP/AVP 31", b"m=video"),
        OFFER + b"a=x:" + b"y" * 20_000,
    ],
)
def test_what_cannot_be_used_is_refused(data: bytes) -> None:
    with pytest.raises(BadSdp):
        parse(data)


def test_a_description_of_ipv6_says_so() -> None:
    session = replace(OURS, address="2001:db8::1")

    assert b"c=IN IP6 2001:db8::1\r\n" in session.encode()
    assert parse(session.encode()) == session


@given(st.integers(0, len(OFFER) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_no_damage_to_a_description_crashes_the_parser(at: int, put: bytes, cut: int) -> None:
    try:
        remote = parse(OFFER[:at] + put + OFFER[at + cut :])
        ours = answer(remote, OURS)
        assert agree(ours, ours, remote).port == remote.port
    except (BadSdp, NoCommonCodec):
        return


def test_one_port_for_audio_and_reports_is_agreed_on_only_where_both_say_so() -> None:
    ours, plain = Session("192.0.2.1", 4000, rtcp_mux=True), Session("192.0.2.7", 5000)
    theirs = parse(Session("192.0.2.7", 5000, rtcp_mux=True).encode())

    assert answer(theirs, ours).rtcp_mux
    assert agree(theirs, ours, theirs).rtcp_mux
    assert not answer(plain, ours).rtcp_mux
    assert not agree(plain, ours, plain).rtcp_mux
