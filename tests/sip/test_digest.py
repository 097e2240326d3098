"""Digest authentication, against the examples of the RFCs."""

import pytest

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.digest import Challenge, Credentials, authorize, choose, parse_challenge, verify
from gateway.sip.message import Request, Response

MUFASA = Credentials("Mufasa", "Circle of Life")
# RFC 7616, section 3.9.1: one request, two algorithms.
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
REALM = "http-auth@example.org"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_responses_of_rfc_7616_come_out(algorithm: str, response: str) -> None:
    challenge = Challenge(REALM, NONCE, algorithm, OPAQUE)
    value = authorize(challenge, MUFASA, "GET", "/dir/index.html", cnonce=CNONCE)

    assert f'response="{response}"' in value
    assert f'opaque="{OPAQUE}"' in value


def test_a_challenge_without_qop_is_answered_the_old_way() -> None:
    """RFC 2069's corrected example (errata 749)."""
    challenge = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop=False)
    credentials = Credentials("Mufasa", "CircleOfLife")
    value = authorize(challenge, credentials, "GET", "/dir/index.html", cnonce="unused")

    assert 'response="1949323746fe6a43ef61f9606e7febea"' in value
    assert "cnonce" not in value


def test_the_password_is_in_no_repr() -> None:
    assert "Circle" not in repr(MUFASA)


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="x"',
        'Digest realm="x", nonce="n", algorithm=SHA-512-256',
        'Digest realm="x", nonce="n", qop="auth-int"',
    ],
)
def test_challenges_that_we_cannot_answer_are_none(value: str) -> None:
    assert parse_challenge(value) is None


@pytest.mark.parametrize("value", ['Digest realm="x"', 'Digest nonce="n"', 'Digest realm="x, nonce="n"', "Digest x"])
def test_broken_challenges_are_refused(value: str) -> None:
    with pytest.raises(BadSipMessage):
        parse_challenge(value)


def test_the_first_challenge_that_we_can_answer_is_chosen() -> None:
    values = ['Digest realm="x', 'Digest realm="x", nonce="1", algorithm=SHA-512-256', 'Digest realm="x", nonce="2"']
    response = Response(tuple(("WWW-Authenticate", value) for value in values), b"", 401, "")

    chosen = choose(response, MUFASA)
    assert chosen is not None
    assert (chosen.nonce, chosen.qop) == ("2", False)


@pytest.mark.parametrize(
    ("algorithm", "qop"),
    [("MD5", True), ("MD5", False), ("MD5-sess", True), ("SHA-256", True), ("SHA-256", False), ("SHA-256-sess", True)],
)
def test_what_we_answer_we_also_verify_and_nothing_else(algorithm: str, qop: bool) -> None:
    challenge = Challenge('a "realm"', "nonce", algorithm, qop=qop)

    def request(credentials: Credentials, uri: str = "sip:x@y") -> Request:
        value = authorize(challenge, credentials, "INVITE", uri, cnonce="c")
        return Request((("Authorization", value),), b"", "INVITE", "sip:x@y")

    assert verify(request(MUFASA), challenge, [MUFASA])
    assert not verify(request(Credentials("Mufasa", "wrong")), challenge, [MUFASA])
    assert not verify(request(Credentials("Scar", "Circle of Life")), challenge, [MUFASA])
    assert not verify(request(MUFASA, "sip:other@y"), challenge, [MUFASA])
    assert not verify(request(MUFASA), Challenge('a "realm"', "another", algorithm, qop=qop), [MUFASA])
    assert not verify(Request((), b"", "INVITE", "sip:x@y"), challenge, [MUFASA])


def test_a_challenge_reads_back_as_written() -> None:
    challenge = Challenge('r"x', "n", "SHA-256", "o", stale=True)

    assert parse_challenge(str(challenge)) == challenge


def test_no_line_break_gets_into_an_answer() -> None:
    with pytest.raises(UnsafeSipValue):
        authorize(Challenge("r", "n"), Credentials("a\r\nTo: b", "p"), "INVITE", "sip:x", cnonce="c")
