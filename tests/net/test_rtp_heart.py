"""A media process that hangs is told from one that a busy machine keeps waiting."""

import os
import signal
import subprocess
import sys
import time

import pytest

from gateway.net.rtp_heart import Heart, Pulse, pulse_of


def hangs_after(*, every_s: float, ran: float, wants_core: bool = True, most: int = 1000) -> float | None:
    """After how many seconds without a beat it is told to hang; `ran` is the share of each that it has run."""
    heart = Heart(0.0, Pulse())
    asked = (n for n in range(1, most) if heart.hangs(n * every_s, Pulse(wants_core, n * every_s * ran)))
    return next((n * every_s for n in asked), None)


def test_who_could_have_answered_for_three_seconds_and_did_not_hangs() -> None:
    """Stopped, or asleep for ever; or spinning."""
    assert hangs_after(every_s=0.5, ran=0.0, wants_core=False) == 3.0
    assert hangs_after(every_s=0.5, ran=1.0) == 3.0


def test_who_waits_for_a_core_all_the_time_is_starved_and_who_shares_one_has_longer() -> None:
    assert hangs_after(every_s=0.5, ran=0.0) is None
    assert hangs_after(every_s=0.5, ran=0.25) == 12.0


def test_a_gateway_that_is_late_itself_counts_nothing_but_what_it_was_to_wait() -> None:
    """Both were kept waiting: six questions must have had their time, however long that took."""
    assert hangs_after(every_s=20.0, ran=0.0, wants_core=False) == 120.0
    assert hangs_after(every_s=20.0, ran=0.0) is None


def test_a_beat_begins_the_three_seconds_anew() -> None:
    heart = Heart(0.0, Pulse())
    for second in range(1, 100):
        assert not any(heart.hangs(second + part / 4, Pulse()) for part in range(4))
        if second % 2:
            heart.beat()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_kernel_tells_who_waits_for_a_core_and_who_was_stopped() -> None:
    """Of two that spin on one core each wants it always and has it half of the time."""
    core = min(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"
    both = [subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for each in both:
            assert each.stdout is not None
            each.stdout.readline()
        began, before = time.monotonic(), [pulse_of(each.pid) for each in both]
        time.sleep(0.4)
        after = [pulse_of(each.pid) for each in both]
        passed_s = time.monotonic() - began
        os.kill(both[0].pid, signal.SIGSTOP)
        os.waitid(os.P_PID, both[0].pid, os.WSTOPPED | os.WNOWAIT)

        assert all(pulse.wants_core for pulse in after)
        assert all(0 < one.ran_s - other.ran_s < 0.9 * passed_s for one, other in zip(after, before, strict=True))
        assert not pulse_of(both[0].pid).wants_core
    finally:
        for each in both:
            each.kill()
            each.communicate()
    assert pulse_of(both[0].pid) == Pulse()
