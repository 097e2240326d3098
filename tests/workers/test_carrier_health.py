"""When a sender leaves its carrier alone, and what it takes to trust it again."""

import pytest

from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown
from gateway.workers.carrier_health import CarrierHealth


def health() -> CarrierHealth:
    return CarrierHealth(most_failures=3, open_s=10, dice=lambda: 1.0)


def offer(of: CarrierHealth, outcome: Outcome, now: float) -> None:
    of.learn(outcome, of.begin(), now)


def opened(now: float = 0.0) -> CarrierHealth:
    found = health()
    for _ in range(3):
        offer(found, Unknown("http_500"), now)
    return found


def test_a_run_of_failures_opens_it_and_says_until_when() -> None:
    found = opened(5.0)

    assert (found.room(5.0), found.reason, found.not_before) == (0, "circuit_open", 15.0)


@pytest.mark.parametrize("outcome", [Accepted("SM1"), Refused("21211", "invalid_number"), Throttled("20429")])
def test_failures_that_are_not_in_a_row_or_none_do_not_open_it(outcome: Outcome) -> None:
    found = health()
    for second in range(6):
        offer(found, Unknown("timeout"), float(second))
        if not isinstance(outcome, Throttled) or second % 2 == 0:
            offer(found, outcome, float(second))
        if second == 1 and isinstance(outcome, Throttled):
            break

    assert found.reason != "circuit_open"


def test_throttling_and_refused_connections_never_open_it() -> None:
    found = health()
    for second in range(50):
        offer(found, Throttled("429"), second * 60.0)
        offer(found, NotSent("connection_refused"), second * 60.0)

    assert found.reason in {"carrier_throttled", "carrier_unreachable"}
    assert found.not_before - 49 * 60.0 <= 30.0


def test_one_is_tried_and_only_one_at_a_time() -> None:
    found = opened()

    assert found.room(9.9) == 0
    assert found.room(10.0) == 1
    found.begin()
    assert found.room(10.1) == 0


def test_a_try_that_goes_well_closes_it_and_one_that_fails_doubles_the_wait() -> None:
    found = opened()
    offer(found, Unknown("timeout"), 10.0)
    assert (found.room(29.9), found.not_before) == (0, 30.0)
    offer(found, Unknown("timeout"), 30.0)
    assert found.not_before == 70.0
    offer(found, Accepted("SM1"), 70.0)

    assert found.room(70.0) is None
    for _ in range(2):
        offer(found, Unknown("timeout"), 71.0)
    assert found.room(71.0) is None


def test_a_try_that_was_taken_back_or_never_committed_leaves_room_for_the_next() -> None:
    found = opened()
    offer(found, NotSent("taken_back"), 10.0)
    assert found.room(10.0) == 1
    found.begin()
    found.begun_in_vain()
    assert found.room(10.0) == 1


def test_what_was_on_its_way_when_it_opened_is_not_written_and_tells_nothing() -> None:
    found = health()
    before = found.begin()
    for _ in range(3):
        found.learn(Unknown("timeout"), before, 0.0)

    assert not found.may_write(before)
    found.learn(Accepted("SM1"), before, 1.0)
    assert found.room(1.0) == 0


def test_an_account_that_is_not_accepted_opens_it() -> None:
    found = health()
    for _ in range(3):
        offer(found, NotSent("carrier_account"), 0.0)

    assert found.reason == "circuit_open"
