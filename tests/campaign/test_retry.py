"""What follows a call: the table of the job, decided without a clock."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.campaign.retry import Again, Write, follow, seconds
from gateway.model.call import Call

HOME, WORK, MOBILE = "+12125550001", "+12125550002", "+12125550003"
CALL = Call("call_1", "acme", "live", "+18005550199", HOME, "bill", 1)
TEXT = {"text": "We tried to call you", "signed": "", "smart_encoding": False}


def rule(after: str = "5m", attempts: int = 1, number: str = "same", text: Any = None) -> dict[str, Any]:
    return {"after": after, "attempts": attempts, "number": number, "text": text}


@pytest.mark.parametrize(
    ("status", "reason", "answered_by", "outcome"),
    [
        ("busy", "busy", "", "busy"),
        ("no_answer", "no_answer", "", "no_answer"),
        ("failed", "declined", "", "failed"),
        ("completed", "", "machine", "machine"),
        ("cancelled", "gateway_stopped", "", "failed"),
    ],
)
def test_an_end_falls_under_one_row_of_the_table(status: str, reason: str, answered_by: str, outcome: str) -> None:
    call = replace(CALL, answered_by=answered_by)

    found = follow({outcome: rule()}, call, status, reason, 1_000)

    assert found == Again(301_000, HOME, [], {outcome: 1})


@pytest.mark.parametrize(
    ("status", "reason", "answered_by"),
    [
        ("completed", "", "human"),
        ("completed", "", "unknown"),
        ("unknown", "worker_gone", ""),
        ("cancelled", "opted_out", ""),
        ("cancelled", "job_cancelled", ""),
        ("expired", "expired", ""),
        ("suppressed", "opted_out", ""),
    ],
)
def test_who_was_reached_or_may_have_been_or_is_not_to_be_is_not_called_again(
    status: str, reason: str, answered_by: str
) -> None:
    table = {outcome: rule(text=TEXT) for outcome in ("busy", "no_answer", "machine", "failed")}

    assert follow(table, replace(CALL, answered_by=answered_by), status, reason, 0) is None


def test_who_had_answered_the_question_when_the_call_broke_off_is_not_called_again() -> None:
    table = {"failed": rule(text=TEXT)}
    cut = replace(CALL, answered_by="human", answered_ms=1)

    assert follow(table, replace(cut, outcome="confirmed"), "failed", "media_down", 0) is None
    assert follow(table, cut, "failed", "media_down", 0) == Again(300_000, HOME, [], {"failed": 1})


def test_attempts_are_counted_by_outcome_and_the_text_comes_when_none_is_left() -> None:
    table = {"busy": rule(attempts=2, text=TEXT), "no_answer": rule(after="1h")}
    call, ends = CALL, []
    for status in ("busy", "no_answer", "busy", "busy"):
        ends.append(follow(table, call, status, status, 0))
        if isinstance(ends[-1], Again):
            call = replace(call, tried=ends[-1].tried)

    assert [end.at_ms for end in ends if end is not None] == [300_000, 3_600_000, 300_000, 300_000]
    assert [type(end) for end in ends] == [Again, Again, Again, Write]
    assert call.tried == {"busy": 2, "no_answer": 1}
    assert follow(table, call, "no_answer", "no_answer", 0) is None


def test_the_next_number_is_tried_in_turn_and_comes_round_again() -> None:
    call = replace(CALL, alternatives=(WORK, MOBILE))
    dialled = []
    for _ in range(3):
        again = follow({"no_answer": rule(attempts=9, number="next")}, call, "no_answer", "no_answer", 0)
        assert isinstance(again, Again)
        call = replace(call, recipient=again.recipient, alternatives=again.alternatives)
        dialled.append(again.recipient)

    assert dialled == [WORK, MOBILE, HOME]


def test_a_number_that_nobody_has_is_not_dialled_again_but_the_others_are() -> None:
    table = {"failed": rule(attempts=9, text=TEXT)}

    again = follow(table, replace(CALL, alternatives=(WORK,)), "failed", "invalid_number", 0)
    alone = follow(table, CALL, "failed", "invalid_number", 0)

    assert again == Again(300_000, WORK, [], {"failed": 1})
    assert alone == Write(300_000, TEXT)


@pytest.mark.parametrize(("expires_ms", "follows"), [(300_000, False), (300_001, True)])
def test_nothing_follows_that_would_come_too_late(expires_ms: int, *, follows: bool) -> None:
    found = follow({"busy": rule(text=TEXT)}, replace(CALL, expires_ms=expires_ms), "busy", "busy", 0)

    assert (found is not None) is follows


@pytest.mark.parametrize(("text", "read"), [("0s", 0), ("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800)])
def test_a_duration_is_a_number_and_its_unit(text: str, read: int) -> None:
    assert seconds(text) == read


@pytest.mark.parametrize("text", ["", "5", "5 m", "1.5h", "-5m", "8d", "9999999s", "5M", "5m\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 5m"):
        seconds(text)
