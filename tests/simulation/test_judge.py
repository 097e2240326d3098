"""What the judge of histories calls a fault."""

from gateway.model.limit import Throughput
from gateway.model.message import Message
from tests.simulation.judge import Ledgers, Record
from tests.simulation.wire import Copy

SENDER = "+18005550199"
RATE = Throughput("sender/+18005550199", 5, 2_000_000)  # a segment every 400 ms


def copy(at_us: int, segments: int) -> Copy:
    return Copy(Message(f"m{at_us}", "acme", "live", SENDER, "+12125551234", "Hi", "gsm7", segments), at_us, "well")


def faults_of_rate(*copies: Copy) -> list[str]:
    return list(Ledgers(Record(), {}, [], {}, copies, {SENDER: [RATE]}, {})._rates())


def test_a_text_may_begin_before_the_last_segment_of_the_one_before_while_no_period_has_too_many() -> None:
    before = [copy(0, 2), copy(360_000, 3)]  # segments at 0, 0.36, 0.4, 0.76 and 1.16 s

    assert faults_of_rate(*before, copy(2_000_000, 1), copy(2_360_000, 1)) == []


def test_six_in_less_than_a_period_of_five_are_a_fault() -> None:
    before = [copy(0, 2), copy(360_000, 3)]

    assert faults_of_rate(*before, copy(1_999_000, 1)) == [f"P4: 6 of {SENDER} in 1999000 us of 2000000, at 1999000"]
    assert faults_of_rate(*before, copy(2_000_000, 1), copy(2_359_000, 1)) == [
        f"P4: 6 of {SENDER} in 1999000 us of 2000000, at 2359000"
    ]
