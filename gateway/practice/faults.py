"""Switches that make the far end misbehave for everybody, on top of what single numbers do."""

from dataclasses import dataclass, fields
from typing import Any

from gateway.errors.practice import InvalidPracticeOption


@dataclass(slots=True)
class Faults:
    """What is wrong at present; all off at the start.

    latency_s:      seconds that every REST answer waits.
    silence:        requests are accepted and never answered.
    drop:           texts are accepted, then the connection is reset.
    accept_status:  texts are accepted, and answered with this HTTP status all the same (0: off).
    every:          the three above strike only each text of that number, such as each 3rd (0: each).
    early:          a text's reports are posted before its request is answered.
    late_s:         seconds that a text's reports wait beyond their time.
    reset:          connections are reset before anything is read or accepted.
    fail_status:    every request gets this HTTP status and is not accepted (0: off).
    throttle_per_s: requests beyond this many in a second get 429 and are not accepted (0: off).
    duplicate:      every webhook is posted twice.
    reorder:        the reports of a text come in reverse order.
    mute:           no webhook is posted at all.
    list_status:    asking for the list of texts gets this HTTP status (0: off).
    list_lag_s:     seconds until an accepted text stands in that list.
    queue_per_s:    segments a second that leave this end's own queue, of each sender (0: at once); what waits there
                    longer than its ValidityPeriod fails with 30036.
    """

    latency_s: float = 0.0
    silence: bool = False
    drop: bool = False
    accept_status: int = 0
    every: int = 0
    early: bool = False
    late_s: float = 0.0
    reset: bool = False
    fail_status: int = 0
    throttle_per_s: int = 0
    duplicate: bool = False
    reorder: bool = False
    mute: bool = False
    list_status: int = 0
    list_lag_s: float = 0.0
    queue_per_s: float = 0.0

    def set(self, changes: dict[str, Any]) -> None:
        """Change some switches, all or none. Raises InvalidPracticeOption for an unknown name or a wrong type."""
        kinds = {switch.name: type(switch.default) for switch in fields(self)}
        for name, value in changes.items():
            kind = kinds.get(name)
            number = kind is float and type(value) is int
            if kind is None or not (type(value) is kind or number):
                raise InvalidPracticeOption(f"no such switch, or not of its type: {name}; there are {kinds}")
        for name, value in changes.items():
            setattr(self, name, value)
