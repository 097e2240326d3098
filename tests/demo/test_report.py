"""The demo's report: the shape that is promised, and figures that follow from what was counted."""

import io

from rich.console import Console

from gateway.demo import report, watch

COUNTS = {"total": 5, "by_state": {"delivered": 3, "held": 2}, "held": {"cap_day": 2}, "segments": 9}
RATE = {"rate": "5/4s", "achieved_per_s": 1.2421, "max_in_rolling_second": 2}
CAP = {"window": "day", "limit": 4, "used": 4, "resets_at": "2026-11-22T08:00:00.000Z", "zone": "America/Los_Angeles"}


def event(kind: str) -> dict[str, str]:
    return {"type": f"call.{kind}"}


def test_texts_are_told_in_the_promised_shape() -> None:
    assert report.sms(COUNTS, 1, RATE, [CAP]) == {
        "submitted": 5,
        "by_state": {"delivered": 3, "held": 2},
        "held": {"cap_day": 2},
        "segments": 9,
        "opt_outs": 1,
        "rate": {"allowed_per_s": 1.25, "achieved_per_s": 1.242, "max_in_rolling_second": 2},
        "caps": [{"window": "day", "limit": 4, "used": 4, "resets_at": "2026-11-22T08:00:00.000Z"}],
    }


def test_calls_are_told_in_the_promised_shape() -> None:
    outcomes = [
        {"outcome": "confirmed", "count": 2, "keys_pressed": 3},
        {"outcome": "", "count": 1, "keys_pressed": 1},
    ]

    told = report.voice({"total": 3, "by_state": {"completed": 3}, "outcomes": outcomes}, [event("dialing")])

    assert told == {
        "submitted": 3,
        "by_state": {"completed": 3},
        "by_outcome": {"confirmed": 2},
        "keys_pressed": 4,
        "max_concurrent": 1,
    }


def test_calls_at_once_are_counted_from_dialling_to_the_end() -> None:
    kinds = ["dialing", "ringing", "dialing", "answered", "busy", "dialing", "completed", "no_answer", "dialing"]

    assert report.most_at_once(map(event, kinds)) == 2
    assert report.most_at_once([]) == 0


def test_the_report_says_why_texts_are_held_and_until_when() -> None:
    told = {
        "sms": report.sms(COUNTS, 1, RATE, [CAP]),
        "voice": report.voice(report.NO_CALLS, []),
        "far_end": {"messages_received": 4, "calls_received": 0},
        "audit": {"texts": 5, "findings": [{"promise": "P2", "check": "copy", "subject": "msg_1", "detail": "twice"}]},
        "seconds": 12.3,
    }
    out = io.StringIO()

    report.show(Console(file=out, width=200), told, {"1": 3, "21": 1}, {"cap_day": "2026-11-22T08:00:02.000Z"})

    printed = out.getvalue()
    assert "2 texts are held: cap_day, until 2026-11-22T08:00:02.000Z" in printed
    assert "4 of 4 segments" in printed
    assert "1 (3), 21 (1)" in printed
    assert "found:\n  P2 msg_1: twice\n" in printed


def test_what_is_held_for_a_cap_has_settled_and_what_may_move_has_not() -> None:
    assert not watch.is_moving(COUNTS)
    assert watch.is_moving({"by_state": {"queued": 1}, "held": {}})
    assert watch.is_moving({"by_state": {"held": 3}, "held": {"cap_day": 2, "carrier_unreachable": 1}})
    assert not watch.is_moving({"by_state": {"sent": 1, "unknown": 1, "delivered": 1}, "held": {}})
