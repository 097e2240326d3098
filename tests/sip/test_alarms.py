"""Alarms ring once, in order, and those called off leave nothing behind."""

from gateway.sip.alarms import Alarms


def test_alarms_ring_in_order_and_once() -> None:
    alarms, rung = Alarms(), []
    alarms.at(2.0, lambda now: rung.append(("late", now)))
    alarms.at(1.0, lambda now: rung.append(("soon", now)))

    assert alarms.next_deadline() == 1.0
    alarms.tick(0.9)
    alarms.tick(5.0)
    alarms.tick(5.0)

    assert rung == [("soon", 5.0), ("late", 5.0)]
    assert alarms.next_deadline() is None


def test_what_was_called_off_never_rings_and_is_not_kept() -> None:
    alarms = Alarms()
    for _ in range(10_000):
        alarms.at(1800.0, lambda _: None).cancel()
    kept = alarms.at(1.0, lambda _: None)

    assert len(alarms._heap) < 200
    assert len(alarms) == 1
    kept.cancel()
    kept.cancel()
    assert len(alarms) == 0
    assert alarms.next_deadline() is None
