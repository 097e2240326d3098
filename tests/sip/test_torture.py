"""Every message of RFC 4475, each taken or refused as the RFC says. Read where GATEWAY_VECTORS names them, never committed."""

import os
from itertools import count
from pathlib import Path

import pytest

from gateway.errors.sip import BadSipMessage
from gateway.sip.events import Incoming
from gateway.sip.message import Response, check, parse
from gateway.sip.options import Options
from gateway.sip.user_agent import UserAgent

FOLDER = Path(os.environ.get("GATEWAY_VECTORS", "") or "nowhere") / "rfc4475"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="GATEWAY_VECTORS names no folder with rfc4475/*.dat (RFC 4475)"
)

DROPPED = "dropped"  # a response that must be thrown away
TAKEN = "taken"  # a response that must be read
RINGS = "rings"  # an INVITE that must be let in

# What a user agent that is no registrar and takes no MESSAGE does with each: the RFC's section, and the answer. A REGISTER and
# a MESSAGE that can be read get 405, which says that they could.
TABLE: dict[str, tuple[str, int | str]] = {
    "wsinv": ("3.1.1.1", 481),  # it carries a To tag: inside a call that we do not know
    "intmeth": ("3.1.1.2", 405),
    "esc01": ("3.1.1.3", RINGS),
    "escnull": ("3.1.1.4", 405),
    "esc02": ("3.1.1.5", 405),
    "lwsdisp": ("3.1.1.6", 200),
    "longreq": ("3.1.1.7", RINGS),
    "dblreq": ("3.1.1.8", 405),  # the octets after the first request are no request
    "semiuri": ("3.1.1.9", 200),
    "transports": ("3.1.1.10", 200),
    "mpart01": ("3.1.1.11", 405),
    "unreason": ("3.1.1.12", TAKEN),
    "noreason": ("3.1.1.13", TAKEN),
    "badinv01": ("3.1.2.1", 400),
    "clerr": ("3.1.2.2", 400),
    "ncl": ("3.1.2.3", 400),
    "scalar02": ("3.1.2.4", 400),
    "scalarlg": ("3.1.2.5", DROPPED),
    "quotbal": ("3.1.2.6", 400),
    "ltgtruri": ("3.1.2.7", 400),
    "lwsruri": ("3.1.2.8", 400),
    "lwsstart": ("3.1.2.9", 400),
    "trws": ("3.1.2.10", 400),
    "escruri": ("3.1.2.11", 400),
    "baddate": ("3.1.2.12", RINGS),  # what does not read Date may let it pass
    "regbadct": ("3.1.2.13", 400),
    "badaspec": ("3.1.2.14", 400),
    "baddn": ("3.1.2.15", 400),
    "badvers": ("3.1.2.16", 505),
    "mismatch01": ("3.1.2.17", 400),
    "mismatch02": ("3.1.2.18", 400),
    "bigcode": ("3.1.2.19", DROPPED),
    "badbranch": ("3.2.1", 200),  # told apart as in RFC 2543
    "insuf": ("3.3.1", 400),
    "unkscm": ("3.3.2", 416),
    "novelsc": ("3.3.3", 416),
    "unksm2": ("3.3.4", 405),
    "bext01": ("3.3.5", 420),
    "invut": ("3.3.6", 415),
    "regaut01": ("3.3.7", 405),
    "multi01": ("3.3.8", 400),
    "mcl01": ("3.3.9", 400),
    "bcast": ("3.3.10", DROPPED),
    "zeromf": ("3.3.11", 200),  # it has arrived: Max-Forwards binds proxies
    "cparam01": ("3.3.12", 405),
    "cparam02": ("3.3.13", 405),
    "regescrt": ("3.3.14", 405),
    "sdp01": ("3.3.15", 406),
    "inv2543": ("3.4.1", RINGS),
    "test": ("none: a draft's", DROPPED),  # its first line has no version, so it is no SIP
}


def heard(name: str) -> tuple[UserAgent, list[Response]]:
    """What a fresh agent that hears anybody answers."""
    numbers = count(1)
    ours = UserAgent(Options(("192.0.2.1", 5060), None), lambda: f"t{next(numbers):020d}")
    ours.receive((FOLDER / f"{name}.dat").read_bytes(), ("198.51.100.7", 5060), 0.0)
    sent = [parse(data) for data, _ in ours.to_send(0.0)]
    return ours, [message for message in sent if isinstance(message, Response) and message.status != 100]


def test_no_message_is_missing_from_the_table() -> None:
    assert {file.stem for file in FOLDER.glob("*.dat")} == set(TABLE)


@pytest.mark.parametrize(("name", "wanted"), [(name, wanted) for name, (_, wanted) in TABLE.items()], ids=list(TABLE))
def test_a_torture_message_gets_what_the_rfc_says(name: str, wanted: int | str) -> None:
    ours, answers = heard(name)

    if isinstance(wanted, int):
        assert [answer.status for answer in answers] == [wanted]
        assert answers[0].values("Via")
    else:
        assert answers == []
    assert [type(event) for event in ours.events()] == ([Incoming] if wanted == RINGS else [])


@pytest.mark.parametrize("name", [name for name, (_, wanted) in TABLE.items() if wanted == TAKEN])
def test_a_response_that_is_strange_but_right_is_read(name: str) -> None:
    message = parse((FOLDER / f"{name}.dat").read_bytes())
    check(message)

    assert isinstance(message, Response)
    assert message.status in {100, 200}


@pytest.mark.parametrize("name", ["scalarlg", "bigcode", "test"])
def test_a_response_that_is_wrong_is_not_read(name: str) -> None:
    with pytest.raises(BadSipMessage):
        check(parse((FOLDER / f"{name}.dat").read_bytes()))


def test_unknown_extensions_are_named() -> None:
    _, (refused,) = heard("bext01")
    assert refused.values("Unsupported") == ["nothingSupportsThis, nothingSupportsThisEither"]
