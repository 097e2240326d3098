"""The named steps: each action has a before and an after, and a listener hears them in order."""

import re
from pathlib import Path

from gateway import steps

ROOMS = Path(steps.__file__).parent
DURABLE_OR_WIRE = {
    "accept",
    "sending",
    "wire",
    "settle",
    "stop",
    "report",
    "take",
    "rebuild",
    "callback",
    "commit",
    "dial",
}


def named() -> set[str]:
    """Every step that the source names."""
    return {step for file in ROOMS.rglob("*.py") for step in re.findall(r'reached\("([\w:]+)"\)', file.read_text())}


def test_every_action_that_is_durable_or_on_the_wire_has_a_step_before_and_one_after() -> None:
    actions = {step.partition(":")[0] for step in named()}

    assert actions >= DURABLE_OR_WIRE
    assert named() == {f"{action}:{when}" for action in actions for when in ("before", "after")}


def test_a_listener_hears_steps_until_it_is_taken_away() -> None:
    heard: list[str] = []
    steps.listen(heard.append)
    steps.reached("accept:before")
    steps.listen(None)
    steps.reached("accept:after")

    assert heard == ["accept:before"]
