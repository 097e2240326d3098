"""What the law asks of a job's calls, by its category: refused before anybody is called."""

from typing import Any

import pytest

from tests.api.conftest import PERSON, Api
from tests.api.test_voice_jobs import PLAN, job


async def test_telemarketing_calls_must_ring_for_fifteen_seconds(api: Api) -> None:
    await api.sender()
    said = await job(api, {"to": PERSON}, category="telemarketing")
    assert (said.status, said.body["category"]) == (202, "telemarketing")
    twilio = api.doors.settings.twilio.model_copy(update={"ring_timeout_s": 14})
    api.doors.settings.__dict__["twilio"] = twilio

    refused = await job(api, {"to": PERSON}, category="telemarketing")

    assert refused.wrong == {"category": "rings_too_briefly"}
    assert (await job(api, {"to": PERSON})).status == 202


async def test_telemarketing_and_healthcare_must_say_who_calls_and_announce_the_opt_out_key(api: Api) -> None:
    await api.sender()
    mute = PLAN.replace(", announces: identity", "")

    for category, status in (("telemarketing", 422), ("healthcare", 422), ("informational", 202)):
        said = await job(api, {"to": PERSON}, plan=mute, category=category)
        assert said.status == status, said.body
        if status == 422:
            (wrong,) = said.body["errors"]
            assert (wrong["node"], wrong["severity"]) == ("who", "error"), wrong
            assert "announces: identity" in str(wrong)
    assert (await job(api, {"to": PERSON}, category="telemarketing")).body["launch"] == []


async def test_a_message_for_machines_without_a_toll_free_number_refuses_what_needs_one(api: Api) -> None:
    await api.sender()
    leaving = PLAN.replace("machine: hangup", "machine: {leave: bye}")

    for category in ("telemarketing", "healthcare", "financial", "package"):
        said = await job(api, {"to": PERSON}, plan=leaving, category=category)
        assert (said.status, {each["node"] for each in said.body["errors"]}) == (422, {"bye"})
        assert "toll-free number" in str(said.body)
    assert (await job(api, {"to": PERSON}, plan=leaving, category="emergency")).status == 202


@pytest.mark.parametrize(
    ("category", "rule", "wrong"),
    [
        ("package", {"attempts": 1}, {"retries.machine": "too_many_messages"}),
        ("financial", {"attempts": 2, "text": {"body": "Hi"}}, {"retries.machine": "too_many_messages"}),
        ("financial", {"attempts": 2}, {}),
        ("healthcare", {"attempts": 3, "after": "1d"}, {"retries.machine": "too_many_messages"}),
        ("healthcare", {"attempts": 2, "after": "23h"}, {"retries.machine.after": "too_many_messages"}),
        ("healthcare", {"attempts": 2, "after": "1d"}, {}),
        ("informational", {"attempts": 9}, {}),
    ],
    ids=str,
)
async def test_exempted_calls_leave_only_so_many_messages(api: Api, category: str, rule: Any, wrong: Any) -> None:
    await api.sender(carrier="twilio")
    left = 'bye: {say: "City Water, 1-800-555-0199.", announces: identity, then: hangup}\nmachine: {leave: bye}'
    leaving = PLAN.replace('bye: {say: "Goodbye.", then: hangup}\nmachine: hangup', left)
    assert leaving != PLAN

    said = await job(api, {"to": PERSON}, plan=leaving, category=category, retries={"machine": rule})
    to_people = await job(api, {"to": PERSON}, category=category, retries={"machine": rule})

    assert said.status == (422 if wrong else 202), said.body
    assert (said.wrong if wrong else {}) == wrong
    assert to_people.status == 202, "a machine that is left nothing may be called again"
