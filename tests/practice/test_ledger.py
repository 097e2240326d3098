import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.practice import InvalidPracticeOption
from gateway.practice.ledger import Ledger, Rate, busiest, judge
from tests.practice.conftest import SENDER, FarEnd


def ledger_of(times: list[float], segments: int = 1, rate: str | None = None) -> Ledger:
    ledger = Ledger(rates={SENDER: Rate.parse(rate)} if rate else {})
    for at in times:
        note(ledger, at, segments=segments)
    return ledger


def note(
    ledger: Ledger,
    at: float,
    *,
    segments: int = 1,
    to: str = "+12125551234",
    outcome: str = "accepted",
    callback: str = "",
) -> int:
    stamp = (at, int(at * 1000))
    return ledger.record(
        "text",
        stamp,
        sender=SENDER,
        to=to,
        body="x",
        segments=segments,
        sid="SM1",
        outcome=outcome,
        status_callback=callback,
    ).copy


@pytest.mark.parametrize(
    ("text", "segments", "period_s"), [("25/s", 25, 1), ("1.25/s", 5, 4), ("75/min", 75, 60), ("0.5/s", 1, 2)]
)
def test_a_rate_is_segments_in_whole_seconds(text: str, segments: int, period_s: int) -> None:
    assert Rate.parse(text) == Rate(segments, period_s)


@pytest.mark.parametrize("text", ["25", "0/s", "-1/s", "25/h", "x/s", ""])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidPracticeOption):
        Rate.parse(text)


def test_even_spacing_keeps_the_rate_and_a_burst_does_not() -> None:
    (even,) = ledger_of([n * 0.125 for n in range(40)], rate="8/s").rate_reports()
    (burst,) = ledger_of([*(n * 0.125 for n in range(40)), 4.9], rate="8/s").rate_reports()

    assert (even.over_rate, even.max_in_rolling_second, even.allowed, even.segments) == (0, 8, 40, 40)
    assert burst.over_rate > 0
    assert burst.max_in_rolling_second == 9
    assert burst.tightest_s is not None
    assert burst.tightest_s < 1.0


def test_two_bursts_that_meet_at_a_clock_second_are_seen() -> None:
    times = [0.9 + n / 1000 for n in range(25)] + [1.01 + n / 1000 for n in range(25)]
    (report,) = ledger_of(times, rate="25/s").rate_reports()

    assert report.max_in_rolling_second == 50
    assert report.over_rate == 25
    assert report.per_second == {0: 25, 1: 25}


def test_the_segments_of_a_text_count_one_after_the_other() -> None:
    (kept,) = ledger_of([0.0, 0.375, 0.75], segments=3, rate="8/s").rate_reports()
    (passed,) = ledger_of([0.0, 0.25, 0.5, 0.75], segments=3, rate="8/s").rate_reports()

    assert kept.over_rate == 0
    assert passed.over_rate > 0


def test_copies_are_counted_for_accepted_texts_only() -> None:
    ledger = Ledger()

    assert [note(ledger, 0.0, outcome="throttled"), note(ledger, 1.0), note(ledger, 2.0)] == [1, 1, 2]
    assert note(ledger, 3.0, callback="https://example.com/other") == 1
    assert ledger.counts()["copies"] == 1


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 6))
def test_a_sender_is_over_its_rate_exactly_when_some_rolling_second_is(ticks: list[int], limit: int) -> None:
    times = sorted(tick / 64 for tick in ticks)  # 1/64 s is exact in binary
    fullest = max(sum(start <= t < start + 1 for t in times) for start in times)
    report = judge(SENDER, ledger_of(times).arrivals, Rate(limit, 1))

    assert busiest(times, 1.0) == fullest
    assert (report.over_rate > 0) == (fullest > limit)


async def test_the_ledger_tells_counts_and_rates_over_http(far_end: FarEnd) -> None:
    await far_end.practice("PUT", f"senders/{SENDER}", {"rate": "1/s"})
    for n in range(3):
        await far_end.post("Messages", {"To": "+12125555555", "From": SENDER, "Body": f"text {n}"})
    _, counts = await far_end.practice("GET", "counts")
    _, rates = await far_end.practice("GET", "rates")
    _, ledger = await far_end.practice("GET", "ledger?after=1&limit=1")
    await far_end.practice("POST", "reset")
    _, after = await far_end.practice("GET", "counts")

    assert (counts["messages_received"], counts["segments_received"], counts["copies"]) == (3, 3, 0)
    assert (rates["senders"][0]["over_rate"], rates["senders"][0]["max_in_rolling_second"]) == (2, 3)
    assert [arrival["seq"] for arrival in ledger["arrivals"]] == [2]
    assert after["messages_received"] == 0


@pytest.mark.parametrize("body", [{"no_such": True}, {"silence": "yes"}, {"latency_s": True}, ["silence"]])
async def test_a_wrong_switch_changes_nothing(body: object, far_end: FarEnd) -> None:
    status, problem = await far_end.practice("PUT", "faults", body)
    _, faults = await far_end.practice("GET", "faults")

    assert (status, problem["type"]) == (422, "invalid_practice_option")
    assert not any(faults.values())


def test_a_person_called_twice_is_no_copy_as_a_text_sent_twice_is() -> None:
    ledger = Ledger()
    for channel in ("text", "sip", "text", "sip"):
        same = {"sender": SENDER, "to": "+12125551234", "body": "", "sid": "", "outcome": "accepted"}
        ledger.record(channel, (0.0, 0), **same, segments=0, status_callback="")

    assert [(each.channel, each.copy) for each in ledger.arrivals] == [("text", 1), ("sip", 1), ("text", 2), ("sip", 1)]
