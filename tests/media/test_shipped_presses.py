"""Key presses as another program recorded them: the captures that Debian's sip-tester ships for SIPp."""

import struct
from pathlib import Path

import pytest

from gateway.media.events import Digit
from gateway.media.session import Session

CAPTURES = Path("/usr/share/sip-tester")
PCAP_HEADER, RECORD_HEADER, ETHERNET_IP_UDP = 24, 16, 14 + 20 + 8
FAR = ("192.0.2.7", 4000)


def datagrams(capture: bytes) -> list[bytes]:
    """The UDP payloads of a little-endian pcap file whose packets have no IP options."""
    found, at = [], PCAP_HEADER
    while at < len(capture):
        (length,) = struct.unpack_from("<I", capture, at + 8)
        found.append(capture[at + RECORD_HEADER + ETHERNET_IP_UDP : at + RECORD_HEADER + length])
        at += RECORD_HEADER + length
    return found


@pytest.mark.peer
@pytest.mark.parametrize("name", [*"0123456789", "star", "pound"])
def test_a_recorded_press_is_one_key(name: str) -> None:
    capture = CAPTURES / f"dtmf_2833_{name}.pcap"
    if not capture.exists():
        pytest.skip("needs the captures of the Debian package sip-tester")
    packets = datagrams(capture.read_bytes())
    session = Session(ssrc=1, sequence=1, timestamp=1)
    session.connect(*FAR, payload_type=0, event_payload_type=packets[0][1] & 0x7F, now=0.0)
    for n, packet in enumerate(packets):
        session.receive(packet, FAR, n * 0.02)

    assert [e.digit for e in session.events() if isinstance(e, Digit)] == [{"star": "*", "pound": "#"}.get(name, name)]
