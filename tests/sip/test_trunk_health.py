"""What our agent does for a trunk outside of calls: OPTIONS keep-alive and REGISTER."""

from collections.abc import Callable

import pytest

from gateway.sip.digest import Credentials
from gateway.sip.hop import Hop
from gateway.sip.message import Header, Request, parse
from gateway.sip.options import KeepaliveOptions, Options
from gateway.sip.registration import RegistrationOptions
from gateway.sip.user_agent import UserAgent
from tests.sip.script import CHALLENGE, OURS, tokens

HOP = Hop("198.51.100.7", 5060)
OTHER = Hop("198.51.100.8", 5060)
PEERS = ("198.51.100.0/28",)
ALIVE = KeepaliveOptions(interval=30.0, misses=3)
AOR = RegistrationOptions("sip:campaign@trunk.example", expires=600)


class Trunk:
    """Our agent and a trunk that a test speaks for; `answers` says what to, None for silence."""

    def __init__(self, answers: Callable[[Request], int | None], **options: object) -> None:
        self.now = 0.0
        self.answers = answers
        self.headers: tuple[Header, ...] = ()
        self.heard: list[tuple[float, Request, Hop]] = []
        self.us = UserAgent(Options(OURS, PEERS, **options), tokens())  # type: ignore[arg-type]

    def until(self, end: float) -> None:
        self._carry()
        while (at := self.us.next_deadline()) is not None and at <= end:
            self.now = at
            self._carry()
        self.now = end

    def _carry(self) -> None:
        while moved := list(self.us.to_send(self.now)):
            for data, hop in moved:
                request = parse(data)
                assert isinstance(request, Request)
                self.heard.append((self.now, request, hop))
                if (status := self.answers(request)) is not None:
                    self.us.receive(request.respond(status, "far", self.headers).encode(), hop, self.now)

    def asked(self) -> list[Request]:
        """Each request once, whatever was sent again."""
        return list({request.via.branch: request for _, request, _ in self.heard}.values())


# --- keep-alive


def test_a_trunk_that_answers_is_asked_once_an_interval_and_stays_up() -> None:
    trunk = Trunk(lambda _: 200, keepalive=ALIVE)
    trunk.us.use(PEERS, (HOP,), "sip:trunk.example", 0.0)
    trunk.until(300)

    assert 9 <= len(trunk.asked()) <= 11
    assert {request.method for request in trunk.asked()} == {"OPTIONS"}
    assert len({request.call_id for request in trunk.asked()}) == 1
    assert trunk.us.down == frozenset()


@pytest.mark.parametrize("status", [404, 405, 401, 483, 501])
def test_any_answer_is_a_sign_of_life(status: int) -> None:
    trunk = Trunk(lambda _: status, keepalive=ALIVE)
    trunk.us.use(PEERS, (HOP,), "sip:trunk.example", 0.0)
    trunk.until(300)

    assert trunk.us.down == frozenset()


@pytest.mark.parametrize("answer", [None, 503, 408])
def test_three_questions_in_vain_take_it_down_and_one_answer_takes_it_up_again(answer: int | None) -> None:
    trunk = Trunk(lambda _: answer, keepalive=ALIVE)
    trunk.us.use(PEERS, (HOP,), "sip:trunk.example", 0.0)
    trunk.until(15 + 3)
    assert trunk.us.down == frozenset()
    trunk.until(30 + 3 * 8)
    assert trunk.us.down == {HOP}

    trunk.answers = lambda _: 200
    trunk.until(30 + 3 * 8 + 31)
    assert trunk.us.down == frozenset()


def test_each_address_is_asked_and_one_that_the_name_left_no_more() -> None:
    trunk = Trunk(lambda _: None, keepalive=ALIVE)
    trunk.us.use(PEERS, (HOP, OTHER), "sip:trunk.example", 0.0)
    trunk.until(100)
    assert trunk.us.down == {HOP, OTHER}
    trunk.us.use(PEERS, (OTHER,), "sip:trunk.example", 100.0)
    before = len(trunk.heard)
    trunk.until(300)

    assert trunk.us.down == {OTHER}
    assert {hop for _, _, hop in trunk.heard[before + 20 :]} == {OTHER}


def test_an_agent_at_rest_asks_nobody() -> None:
    trunk = Trunk(lambda _: 200, keepalive=ALIVE)
    trunk.us.use(PEERS, (HOP,), "sip:trunk.example", 0.0)
    trunk.us.rest(0.0)

    assert trunk.us.next_deadline() is None


# --- registration


def registering(answers: Callable[[Request], int | None], **options: object) -> Trunk:
    trunk = Trunk(answers, **options)
    trunk.us.register((HOP,), AOR, 0.0)
    return trunk


def state(trunk: Trunk) -> tuple[str, int]:
    assert trunk.us.registration is not None
    return trunk.us.registration.state, trunk.us.registration.status


def test_a_registration_is_refreshed_before_it_runs_out() -> None:
    trunk = registering(lambda _: 200)
    trunk.headers = (("Expires", "100"),)
    trunk.until(200)

    assert [at for at, _, _ in trunk.heard] == [0.0, 90.0, 180.0]
    assert [request.cseq for request in trunk.asked()] == [(1, "REGISTER"), (2, "REGISTER"), (3, "REGISTER")]
    (first, *_) = trunk.asked()
    assert (first.uri, first.get("Expires")) == ("sip:trunk.example", "600")
    assert first.get("To") == "<sip:campaign@trunk.example>"
    assert len({request.call_id for request in trunk.asked()}) == 1
    assert state(trunk) == ("registered", 200)


def test_a_registration_is_made_anew_when_its_connection_breaks() -> None:
    trunk = registering(lambda _: 200)
    trunk.headers = (("Expires", "3000"),)
    trunk.until(100)
    trunk.us.broken(OTHER, trunk.now)
    trunk.us.broken(HOP, trunk.now)
    trunk.until(110)
    trunk.us.broken(HOP, trunk.now)  # a registrar that lets go each time is not asked every second
    trunk.until(135)
    assert [at for at, _, _ in trunk.heard] == [0.0, 101.0]
    trunk.until(141)

    assert [at for at, _, _ in trunk.heard] == [0.0, 101.0, 140.0]
    assert state(trunk) == ("registered", 200)


def test_the_time_granted_to_our_own_contact_counts() -> None:
    trunk = registering(lambda _: 200)
    others = "<sip:campaign@203.0.113.9>;expires=7, <sip:campaign@192.0.2.1:5060>;expires=50, <tel:+1>;expires=9"
    trunk.headers = (("Contact", others), ("Expires", "3000"))
    trunk.until(46)

    assert [at for at, _, _ in trunk.heard] == [0.0, 45.0]


@pytest.mark.parametrize(("status", "header"), [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")])
def test_a_challenge_is_answered_with_the_trunks_credentials(status: int, header: str) -> None:
    answer = "Authorization" if status == 401 else "Proxy-Authorization"
    trunk = registering(
        lambda request: 200 if request.get(answer) else status, credentials=Credentials("campaign", "x")
    )
    trunk.headers = ((header, CHALLENGE.format("one", "")),)
    trunk.until(1)

    assert state(trunk) == ("registered", 200)
    assert 'uri="sip:trunk.example"' in trunk.asked()[1].get(answer)


def test_a_challenge_from_another_address_is_not_answered() -> None:
    trunk = registering(lambda _: None, credentials=Credentials("campaign", "x"))
    ((data, _),) = trunk.us.to_send(0.0)
    request = parse(data)
    assert isinstance(request, Request)
    challenge = (("WWW-Authenticate", CHALLENGE.format("one", "")),)
    trunk.us.receive(request.respond(401, "far", challenge).encode(), OTHER, 0.0)

    assert list(trunk.us.to_send(0.0)) == []
    assert state(trunk) == ("refused", 401)


def test_a_wrong_password_is_tried_again_only_after_longer_and_longer_pauses() -> None:
    trunk = registering(lambda _: 401, credentials=Credentials("campaign", "wrong"))
    trunk.headers = (("WWW-Authenticate", CHALLENGE.format("one", "")),)
    trunk.until(1)
    assert len(trunk.asked()) == 2
    assert state(trunk) == ("refused", 401)
    trunk.until(600)

    assert len(trunk.asked()) <= 2 * 8


def test_a_longer_time_is_asked_for_where_the_trunk_wants_one() -> None:
    trunk = registering(lambda request: 200 if int(request.get("Expires")) >= 1800 else 423)
    trunk.headers = (("Min-Expires", "1800"),)
    trunk.until(1)

    assert state(trunk) == ("registered", 200)
    assert [request.get("Expires") for request in trunk.asked()] == ["600", "1800"]


def test_a_silent_registrar_is_told_and_another_address_is_tried() -> None:
    trunk = Trunk(lambda _: None)
    trunk.us.register((HOP, OTHER), AOR, 0.0)
    trunk.until(32)
    assert state(trunk) == ("silent", 0)
    trunk.until(40)

    assert trunk.heard[-1][2] == OTHER


def test_at_the_end_the_registration_is_taken_back() -> None:
    trunk = registering(lambda _: 200)
    trunk.until(1)
    trunk.us.rest(1.0)
    trunk.until(2000)

    assert [request.get("Expires") for request in trunk.asked()] == ["600", "0"]
    assert state(trunk) == ("ended", 200)
    assert trunk.us.registration is not None
    assert trunk.us.registration.is_ended


def test_what_was_never_registered_is_not_taken_back() -> None:
    trunk = registering(lambda _: 403)
    trunk.until(1)
    trunk.us.rest(1.0)
    trunk.until(2000)

    assert len(trunk.asked()) == 1
