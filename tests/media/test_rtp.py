import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.media import BadRtp
from gateway.media import rtp

# Hand-assembled from RFC 3550, section 5.1 (the figure) and 5.3.1 (the extension).
PLAIN = bytes.fromhex("80 80 0001 000000a0 deadbeef".replace(" ", "")) + b"\xff" * 160
CSRCS_EXTENSION_PADDING = (
    bytes.fromhex("b2 65 fffe 00000001 00000002".replace(" ", ""))  # V=2 P X CC=2, PT 101
    + bytes(8)  # two CSRCs
    + bytes.fromhex("bede0001") + bytes(4)  # an extension of one word
    + b"\x05\x0a\x00\xa0"
    + b"\x00\x00\x00\x04"  # four octets of padding, the count among them
)  # fmt: skip


def test_a_plain_packet_is_read_as_the_rfc_draws_it() -> None:
    assert rtp.parse(PLAIN) == rtp.Packet(0, 1, 160, 0xDEADBEEF, marker=True, payload=b"\xff" * 160)


def test_csrcs_extension_and_padding_are_skipped() -> None:
    packet = rtp.parse(CSRCS_EXTENSION_PADDING)

    assert packet == rtp.Packet(101, 0xFFFE, 1, 2, marker=False, payload=b"\x05\x0a\x00\xa0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:11],
        b"\x00" + PLAIN[1:],
        b"\x8f" + PLAIN[1:20],
        b"\x90" + PLAIN[1:14],
        b"\x90" + PLAIN[1:12] + struct.pack("!HH", 0xBEDE, 0xFFFF),
        b"\xa0" + PLAIN[1:12] + b"\x00",
        b"\xa0" + PLAIN[1:12] + b"\x02",
    ],
    ids=["empty", "11 bytes", "version 0", "15 CSRCs", "cut extension", "long extension", "padding 0", "long padding"],
)
def test_what_contradicts_its_own_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadRtp):
        rtp.parse(data)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_bad_rtp(data: bytes) -> None:
    try:
        packet = rtp.parse(data)
    except BadRtp:
        return
    assert len(packet.payload) <= len(data) - rtp.HEADER.size


@given(
    st.builds(
        rtp.Packet,
        st.integers(0, 127),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF_FFFF),
        st.integers(0, 0xFFFF_FFFF),
        st.booleans(),
        st.binary(max_size=160),
    )
)
def test_what_is_built_is_read_back(packet: rtp.Packet) -> None:
    assert rtp.parse(rtp.build(packet)) == packet


def test_distances_go_around_the_circle() -> None:
    assert rtp.timestamp_distance(5, 0xFFFF_FFFB) == 10
    assert rtp.timestamp_distance(0xFFFF_FFFB, 5) == -10
