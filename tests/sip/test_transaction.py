"""Each transaction timer of RFC 3261, table 4, by a clock that the test moves. T1 0.5 s, T2 4 s, T4 5 s."""

import pytest

from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response
from gateway.sip.transaction import Transaction, Transactions
from gateway.sip.transaction_table import State, Timers

FAR = Hop("198.51.100.7", 5060)
INTERVALS_TO_T2 = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


class Wire:
    """A transaction layer, what it sent and when, and what its user was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.told: list[tuple[float, str]] = []
        self.layer = Transactions(Timers(), lambda data, _: self.sent.append((self.now, data)))

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        self.told.append((now, str(response.status)))

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        self.told.append((now, "timeout"))

    def until(self, end: float) -> None:
        while (at := self.layer.next_deadline()) is not None and at <= end:
            self.now = at
            self.layer.tick(at)
        self.now = end

    def times(self) -> list[float]:
        return [at for at, _ in self.sent]

    def request(self, method: str) -> Transaction:
        return self.layer.request(message(method), FAR, self.now, self)

    def hear(self, transaction: Transaction, status: int) -> None:
        self.layer.receive_response(transaction.request.respond(status, "far"), FAR, self.now)

    def serve(self, method: str, branch: str = "z9hG4bK1") -> Transaction | None:
        return self.layer.receive_request(message(method, branch), FAR, self.now)


def message(method: str, branch: str = "z9hG4bK1") -> Request:
    headers = (
        ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch}"),
        ("Route", "<sip:198.51.100.7;lr>"),
        ("From", "<sip:a@x>;tag=1"),
        ("To", "<sip:b@y>"),
        ("Call-ID", "c"),
        ("CSeq", f"1 {method}"),
    )
    return Request(headers, b"", method, "sip:b@y")


@pytest.fixture
def wire() -> Wire:
    return Wire()


# --- client


def test_a_and_b_an_invite_is_sent_seven_times_and_given_up_after_64_t1(wire: Wire) -> None:
    wire.request("INVITE")
    wire.until(100)

    assert wire.times() == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert wire.told == [(32.0, "timeout")]
    assert len(wire.layer) == 0


def test_a_provisional_response_stops_the_invite_and_its_timer_b(wire: Wire) -> None:
    transaction = wire.request("INVITE")
    wire.hear(transaction, 100)
    wire.until(300)

    assert wire.times() == [0.0]
    assert wire.told == [(0.0, "100")]
    assert transaction.state is State.PROCEEDING


def test_d_each_repeated_failure_is_acknowledged_and_told_once_for_64_t1(wire: Wire) -> None:
    transaction = wire.request("INVITE")
    for wire.now in (0.0, 1.0, 2.0):
        wire.hear(transaction, 486)
    acks = [data for _, data in wire.sent[1:]]
    wire.until(100)

    assert len(acks) == 3
    assert len(set(acks)) == 1
    assert acks[0].startswith(b"ACK sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n")
    assert b"\r\nRoute: <sip:198.51.100.7;lr>\r\n" in acks[0]
    assert b"\r\nTo: <sip:b@y>;tag=far\r\n" in acks[0]
    assert b"\r\nCSeq: 1 ACK\r\n" in acks[0]
    assert wire.told == [(0.0, "486")]


def test_m_every_2xx_reaches_the_user_until_64_t1_after_the_first(wire: Wire) -> None:
    transaction = wire.request("INVITE")
    for at in (0.0, 10.0):
        wire.until(at)
        wire.hear(transaction, 200)
    wire.until(32.0)
    wire.hear(transaction, 200)

    assert wire.told == [(0.0, "200"), (10.0, "200")]
    assert wire.layer.traffic.stray == 1


def test_e_and_f_another_request_is_sent_at_most_every_t2_and_given_up_after_64_t1(wire: Wire) -> None:
    wire.request("BYE")
    wire.until(100)

    assert wire.times() == [0.0, *INTERVALS_TO_T2]
    assert wire.told == [(32.0, "timeout")]


def test_after_a_provisional_response_another_request_goes_on_every_t2_and_f_still_ends_it(wire: Wire) -> None:
    transaction = wire.request("BYE")
    wire.until(1.0)
    wire.hear(transaction, 100)
    wire.until(100)

    assert wire.times() == [0.0, 0.5, 5.0, 9.0, 13.0, 17.0, 21.0, 25.0, 29.0]
    assert wire.told[-1] == (32.0, "timeout")


def test_k_repeats_of_a_final_response_are_absorbed_for_t4(wire: Wire) -> None:
    transaction = wire.request("BYE")
    wire.hear(transaction, 200)
    wire.hear(transaction, 200)
    wire.until(4.9)
    assert len(wire.layer) == 1
    wire.until(5.0)

    assert len(wire.layer) == 0
    assert wire.told == [(0.0, "200")]


def test_a_response_to_another_method_or_branch_is_a_stray(wire: Wire) -> None:
    wire.request("INVITE")
    wire.layer.receive_response(message("BYE").respond(200), FAR, 0.0)
    wire.layer.receive_response(message("INVITE", "z9hG4bKother").respond(200), FAR, 0.0)

    assert wire.layer.traffic.stray == 2
    assert wire.told == []


# --- server


def test_a_repeated_request_gets_the_last_response_again_and_no_second_transaction(wire: Wire) -> None:
    transaction = wire.serve("INVITE")
    assert transaction is not None
    assert wire.serve("INVITE") is None
    wire.layer.respond(transaction, transaction.request.respond(180, "us"), wire.now)
    assert wire.serve("INVITE") is None

    assert len(wire.sent) == 2
    assert wire.sent[0] == wire.sent[1]
    assert wire.layer.traffic.repeated == 2


def test_g_and_h_a_failure_is_sent_at_most_every_t2_until_64_t1(wire: Wire) -> None:
    transaction = wire.serve("INVITE")
    assert transaction is not None
    wire.layer.respond(transaction, transaction.request.respond(486, "us"), wire.now)
    wire.until(100)

    assert wire.times() == [0.0, *INTERVALS_TO_T2]
    assert len(wire.layer) == 0


def test_i_the_ack_of_a_failure_stops_it_and_later_acks_are_absorbed_for_t4(wire: Wire) -> None:
    transaction = wire.serve("INVITE")
    assert transaction is not None
    wire.layer.respond(transaction, transaction.request.respond(486, "us"), wire.now)
    assert wire.serve("ACK") is None
    assert wire.serve("ACK") is None
    wire.until(4.9)
    assert len(wire.layer) == 1
    wire.until(5.0)

    assert wire.times() == [0.0]
    assert len(wire.layer) == 0


def test_l_a_2xx_is_sent_until_it_is_acknowledged_or_64_t1_have_passed(wire: Wire) -> None:
    transaction = wire.serve("INVITE")
    assert transaction is not None
    transaction.user = wire
    wire.layer.respond(transaction, transaction.request.respond(200, "us"), wire.now)
    wire.until(100)

    assert wire.times() == [0.0, *INTERVALS_TO_T2]
    assert wire.told == [(32.0, "timeout")]


def test_an_acknowledged_2xx_is_sent_no_more(wire: Wire) -> None:
    transaction = wire.serve("INVITE")
    assert transaction is not None
    wire.layer.respond(transaction, transaction.request.respond(200, "us"), wire.now)
    wire.until(1.0)
    wire.layer.acknowledge(transaction, wire.now)
    wire.until(100)

    assert wire.times() == [0.0, 0.5]


def test_the_ack_of_a_2xx_has_a_branch_of_its_own_and_is_handed_up(wire: Wire) -> None:
    wire.serve("INVITE")
    ack = wire.serve("ACK", "z9hG4bK2")

    assert ack is not None
    assert len(wire.layer) == 1


def test_j_the_answer_to_another_request_is_repeated_for_64_t1_and_then_forgotten(wire: Wire) -> None:
    transaction = wire.serve("OPTIONS")
    assert transaction is not None
    wire.layer.respond(transaction, transaction.request.respond(200, "us"), wire.now)
    wire.until(31.9)
    assert wire.serve("OPTIONS") is None
    wire.until(32.0)

    assert len(wire.sent) == 2
    assert len(wire.layer) == 0


def test_after_a_final_response_no_other_one_is_sent(wire: Wire) -> None:
    transaction = wire.serve("OPTIONS")
    assert transaction is not None
    for status in (200, 500):
        wire.layer.respond(transaction, transaction.request.respond(status, "us"), wire.now)

    assert len(wire.sent) == 1


def test_requests_without_a_branch_of_rfc_3261_are_told_apart_by_their_headers(wire: Wire) -> None:
    assert wire.serve("INVITE", "1") is not None
    assert wire.serve("INVITE", "1") is None
    assert wire.serve("OPTIONS", "1") is not None


def test_a_cancel_finds_its_invite_by_the_branch(wire: Wire) -> None:
    invite = wire.serve("INVITE")

    assert wire.layer.find_invite(message("CANCEL")) is invite
    assert wire.layer.find_invite(message("CANCEL", "z9hG4bKother")) is None


def test_a_limit_ends_a_ringing_invite(wire: Wire) -> None:
    transaction = wire.request("INVITE")
    wire.hear(transaction, 180)
    wire.layer.limit(transaction, 32.0)
    wire.until(100)

    assert wire.told[-1] == (32.0, "timeout")
    assert len(wire.layer) == 0
