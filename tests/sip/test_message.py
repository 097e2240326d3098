"""SIP messages: what is read, what is refused, and that nothing can be smuggled in when one is written."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.headers import NameAddr, Via, parse_cseq, split_list
from gateway.sip.message import MAX_BYTES, Request, Response, check, parse
from gateway.sip.uri import SipUri, parse_uri

VECTORS = os.environ.get("GATEWAY_VECTORS", "")
TORTURE = Path(VECTORS) / "rfc4475"
torture = pytest.mark.skipif(
    not VECTORS or not TORTURE.is_dir(), reason="GATEWAY_VECTORS names no folder with rfc4475/*.dat (RFC 4475)"
)

# RFC 4475, 3.1.1 and 3.3: valid, or to be answered by what the elements above decide.
VALID = [
    "wsinv", "intmeth", "esc01", "escnull", "esc02", "lwsdisp", "longreq", "dblreq", "semiuri", "transports", "mpart01",
    "unreason", "noreason", "badbranch", "bext01", "invut", "regaut01", "bcast", "zeromf", "cparam01", "cparam02",
    "regescrt", "sdp01", "inv2543", "unksm2",
]  # fmt: skip
REFUSED = {  # 3.1.2 and 3.3, with the status that a request of the kind is owed
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": 400, "quotbal": 400, "ltgtruri": 400,
    "lwsruri": 400, "lwsstart": 400, "trws": 400, "escruri": 400, "regbadct": 400, "badaspec": 400, "baddn": 400,
    "badvers": 505, "mismatch01": 400, "mismatch02": 400, "bigcode": 400, "insuf": 400, "unkscm": 416, "novelsc": 416,
    "multi01": 400, "mcl01": 400, "test": 400,
}  # fmt: skip

PLAIN = (
    b"OPTIONS sip:us@192.0.2.1 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKa\r\n"
    b"f: <sip:a@x>;tag=1\r\n"
    b"To:\r\n <sip:b@y>\r\n"
    b"i: 1@x\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"x-custom: kept\r\n"
    b"l: 2\r\n"
    b"\r\n"
    b"hello"
)


def test_compact_names_folded_lines_and_the_announced_length_are_read() -> None:
    message = parse(PLAIN)

    check(message)
    assert message.via.branch == "z9hG4bKa"
    assert (message.from_.tag, message.to.uri, message.call_id) == ("1", "sip:b@y", "1@x")
    assert message.get("X-Custom") == "kept"
    assert message.body == b"he"


def test_what_is_written_is_read_back_the_same() -> None:
    message = parse(PLAIN)
    assert isinstance(message, Request)

    assert parse(message.encode()) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\r\n\r\n",
        PLAIN.replace(b"SIP/2.0\r\nv", b"SIP/3.0\r\nv"),
        PLAIN.replace(b"l: 2", b"l: 9"),
        PLAIN.replace(b"l: 2", b"l: 2\r\nContent-Length: 3"),
        PLAIN.replace(b"x-custom: kept", b"x-custom: a\nTo: b"),
        PLAIN.replace(b"x-custom: kept", b"no colon"),
        PLAIN.replace(b"x-custom: kept", b"A: b\r\n" * 300 + b"A: b"),
        PLAIN + b"x" * MAX_BYTES,
        b"SIP/2.0 999 No\r\n\r\n",
        b"SIP/2.0 200 a\nb\r\n\r\n",
    ],
)
def test_what_is_no_sip_is_refused(data: bytes) -> None:
    with pytest.raises(BadSipMessage):
        parse(data)


@pytest.mark.parametrize("name", [b"v", b"f", b"To", b"i", b"CSeq"])
def test_each_mandatory_header_is_missed(name: bytes) -> None:
    with pytest.raises(BadSipMessage):
        check(parse(PLAIN.replace(b"\r\n" + name + b":", b"\r\nOther:")))


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\n"])
def test_no_line_break_is_ever_written_into_a_header(line_break: str) -> None:
    response = Response((("X-A", f"1{line_break}To: x"),), b"", 200, "OK")
    with pytest.raises(UnsafeSipValue):
        response.encode()


@torture
@pytest.mark.parametrize("name", VALID)
def test_a_valid_torture_message_is_accepted(name: str) -> None:
    check(parse((TORTURE / f"{name}.dat").read_bytes()))


@torture
@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_torture_message_is_refused_with_the_status_it_is_owed(name: str) -> None:
    with pytest.raises(BadSipMessage) as refusal:
        check(parse((TORTURE / f"{name}.dat").read_bytes()))
    assert refusal.value.answer == REFUSED[name]


@torture
def test_torture_messages_mean_what_the_rfc_says() -> None:
    wsinv = parse((TORTURE / "wsinv.dat").read_bytes())
    assert isinstance(wsinv, Request)
    assert wsinv.cseq == (9, "INVITE")
    assert [Via.parse(via).branch for via in wsinv.values("Via")] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    semiuri = parse((TORTURE / "semiuri.dat").read_bytes())
    assert isinstance(semiuri, Request)
    assert parse_uri(semiuri.uri).user == "user;par=u@example.net"
    double = parse((TORTURE / "dblreq.dat").read_bytes())
    assert (double.cseq[1], double.body) == ("REGISTER", b"")


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    _read(data)


@given(st.integers(0, len(PLAIN) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_no_damage_to_a_message_crashes_the_parser(at: int, put: bytes, cut: int) -> None:
    _read(PLAIN[:at] + put + PLAIN[at + cut :])


def _read(data: bytes) -> None:
    try:
        message = parse(data)
        check(message)
    except BadSipMessage:
        return
    assert parse(message.encode()) == message


# --- values


def test_lists_are_split_outside_quotes_and_angle_brackets_only() -> None:
    assert split_list('"a, \\" b" <sip:x?a=1,2>, <sip:y>,c') == ['"a, \\" b" <sip:x?a=1,2>', "<sip:y>", "c"]


def test_parameters_after_a_bare_uri_belong_to_the_header() -> None:
    assert NameAddr.parse("sip:a@b;tag=1") == NameAddr("", "sip:a@b", (("tag", "1"),))


def test_received_and_rport_note_the_source() -> None:
    via = Via.parse("SIP/2.0/UDP host.example:5070;rport;branch=z9hG4bKx")

    assert str(via.seen_from("192.0.2.9", 40000)).endswith(";branch=z9hG4bKx;received=192.0.2.9;rport=40000")
    assert str(Via.parse("SIP/2.0/UDP 192.0.2.9").seen_from("192.0.2.9", 5060)) == "SIP/2.0/UDP 192.0.2.9"


@pytest.mark.parametrize("text", ["1", "x INVITE", "2147483648 INVITE", "-1 INVITE"])
def test_a_broken_cseq_is_refused(text: str) -> None:
    with pytest.raises(BadSipMessage):
        parse_cseq(text)


@given(st.text(min_size=1))
def test_no_user_part_can_leave_its_uri(user: str) -> None:
    try:
        text = str(SipUri(user, "h.example", 5070, ("lr",)))
    except UnicodeEncodeError:
        return  # lone surrogates are no text
    assert NameAddr.parse(f"<{text}>;tag=1").tag == "1"
    assert parse_uri(text).host == "h.example"


@pytest.mark.parametrize("text", ["sip:a@b:0", "sip:a@b:99999", "sip:a@b c", "sip:", "a@b", "sip:a@[::1"])
def test_a_broken_uri_is_refused(text: str) -> None:
    with pytest.raises(BadSipMessage):
        parse_uri(text)


def test_an_ipv6_uri_gives_its_address_without_brackets() -> None:
    assert parse_uri("sip:a@[2001:db8::1]:5070;lr").address == ("2001:db8::1", 5070)
