"""Damaged messages into a user agent with calls in every state: nothing is raised, all that leaves is SIP."""

import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sip.context import Options
from gateway.sip.digest import Credentials
from gateway.sip.events import Incoming
from gateway.sip.message import Request, check, parse
from gateway.sip.sdp import Session, answer
from gateway.sip.user_agent import UserAgent

OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
VECTORS = os.environ.get("GATEWAY_VECTORS", "")
TORTURE = Path(VECTORS) / "rfc4475"


def agents() -> tuple[UserAgent, UserAgent]:
    """Two agents whose tokens are the same each time they are made."""
    numbers = count(1)

    def token() -> str:
        return f"t{next(numbers):020d}"

    credentials = Credentials("campaign", "made-up")
    return UserAgent(Options(OURS, (THEIRS[0],), credentials), token), UserAgent(Options(THEIRS, None), token)


def converse() -> tuple[UserAgent, list[bytes]]:
    """One call up and one ringing; returns our agent and every datagram that the far end sent to get there."""
    ours, theirs = agents()
    heard: list[bytes] = []

    def carry() -> None:
        for _ in range(4):
            for data, _ in ours.to_send(0.0):
                theirs.receive(data, OURS, 0.0)
            for data, _ in theirs.to_send(0.0):
                heard.append(data)
                ours.receive(data, THEIRS, 0.0)

    for answered in (True, False):
        ours.invite("sip:+12125551234@198.51.100.7", "sip:+18005550199@192.0.2.1", Session(OURS[0], 4000), THEIRS, 0.0)
        carry()
        incoming = next(event for event in theirs.events() if isinstance(event, Incoming))
        theirs.ring(incoming.call, 0.0)
        if answered and incoming.offer is not None:
            theirs.accept(incoming.call, answer(incoming.offer, Session(THEIRS[0], 6000)), 0.0)
            carry()
            theirs.hangup(incoming.call, 0.0)
            bye = [data for data, _ in theirs.to_send(0.0)]
            heard.extend([*bye, *(data.replace(b"BYE", method) for data in bye for method in (b"INVITE", b"UPDATE"))])
    return ours, heard


DATAGRAMS = converse()[1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DATAGRAMS), st.integers(0, 900), st.binary(max_size=8), st.integers(0, 8))))
def test_no_damage_to_a_conversation_raises_and_all_that_leaves_is_sip(
    damages: list[tuple[bytes, int, bytes, int]],
) -> None:
    ours, _ = converse()
    for data, at, put, cut in damages:
        ours.receive(data[:at] + put + data[at + cut :], THEIRS, 1.0)
    left = [data for data, _ in ours.to_send(100.0)]
    for data in left:
        message = parse(data)
        if isinstance(message, Request):
            check(message)
    list(ours.events())


@pytest.mark.skipif(
    not TORTURE.is_dir() or not VECTORS, reason="GATEWAY_VECTORS names no folder with rfc4475/*.dat (RFC 4475)"
)
def test_every_torture_message_is_answered_or_dropped_without_harm() -> None:
    ours, _ = converse()
    for file in sorted(TORTURE.glob("*.dat")):
        ours.receive(file.read_bytes(), THEIRS, 1.0)
        for data, _ in ours.to_send(1.0):
            parse(data)
    assert ours.calls >= 1
