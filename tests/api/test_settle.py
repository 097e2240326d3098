"""Unknown texts, settled by a person: each into one state, once, and written down."""

from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.store import lives, settling
from tests.api.conftest import PERSON, TOLL_FREE, Api


async def unknown(api: Api, count: int = 1, **job: Any) -> tuple[str, list[str]]:
    """A job whose texts nobody answered for; its id and theirs."""
    await api.sender(status="verified")
    people = [{"to": f"+1212555{1000 + number}"} for number in range(count)]
    made = {"channel": "sms", "from": TOLL_FREE, "recipients": people, "message": {"body": "Your bill is due."}}
    said = await api.post("/v1/jobs", {**made, **job})
    assert said.status == 202, said.body
    job_id = said.body["id"]

    async def lose(tx: Any) -> list[str]:
        ids = await lives.of_job(tx, "messages", job_id, ["queued"], 99)
        await lives.move(tx, "messages", ids, "sending", now_ms())
        return await lives.move(tx, "messages", ids, "unknown", now_ms(), reason="timeout")

    return job_id, await api.doors.database.write(lose)


async def settle(api: Api, thing: str, verdict: str, note: str = "", **more: Any) -> Any:
    place = "jobs" if thing.startswith("job") else "messages"
    return await api.post(f"/v1/{place}/{thing}/settle", {"as": verdict, "note": note}, **more)


@pytest.mark.parametrize(
    ("verdict", "status", "reason", "copies"),
    [
        ("sent", "sent", "settled_by_person", 0),
        ("resend", "queued", "resent", 1),
        ("drop", "cancelled", "dropped_by_person", 0),
    ],
)
async def test_a_person_settles_a_text_once_and_it_is_written_down(
    api: Api, verdict: str, status: str, reason: str, copies: int
) -> None:
    _, (message_id,) = await unknown(api)

    said = await settle(api, message_id, verdict, "she rang")
    again = await settle(api, message_id, verdict)
    log = await api.get("/v1/audit-log", params={"subject": message_id})

    assert (said.status, said.body["status"], said.body["reason"], said.body["copies"]) == (200, status, reason, copies)
    assert (again.status, again.slug) == (409, "not_unknown")
    (deed,) = log.body["items"]
    assert (deed["action"], deed["subject"], deed["note"]) == ("message.settle", message_id, "she rang")
    assert deed["detail"] == {"as": verdict}
    assert deed["actor"].startswith("key_")
    told = (await api.get(f"/v1/messages/{message_id}")).body["events"]
    assert ("message.resent" in [each["type"] for each in told]) == (verdict == "resend")


async def test_all_unknown_texts_of_a_job_are_settled_at_once(api: Api) -> None:
    job_id, ids = await unknown(api, 3)
    await settle(api, ids[0], "sent")

    said = await settle(api, job_id, "resend", "the carrier says it lost them")
    log = await api.get("/v1/audit-log", params={"subject": job_id})
    job = await api.get(f"/v1/jobs/{job_id}")

    assert said.body == {"job_id": job_id, "settled": 2}
    assert log.body["items"][0]["detail"] == {"as": "resend", "texts": 2}
    assert (job.body["counts"]["by_state"], job.body["counts"]["copies"]) == ({"queued": 2, "sent": 1}, 2)


async def test_what_is_sent_again_goes_where_its_job_has_gone(api: Api) -> None:
    job_id, ids = await unknown(api, 2)
    await api.post(f"/v1/jobs/{job_id}/pause")
    paused = await settle(api, ids[0], "resend")
    await api.post(f"/v1/jobs/{job_id}/cancel")
    cancelled = await settle(api, ids[1], "resend")

    assert (paused.body["status"], paused.body["reason"], paused.body["copies"]) == ("held", "paused", 1)
    assert (cancelled.body["status"], cancelled.body["copies"]) == ("cancelled", 0)


async def test_the_audit_log_is_paged_and_each_sees_its_own(api: Api) -> None:
    _, ids = await unknown(api, 3)
    for message_id in ids:
        await settle(api, message_id, "drop")

    first = await api.get("/v1/audit-log", params={"limit": "3"})
    rest = await api.get("/v1/audit-log", params={"limit": "2", "cursor": first.body["next_cursor"]})
    others = await api.get("/v1/audit-log", secret=await api.key(tenant="other"))

    subjects = [each["subject"] for each in [*first.body["items"], *rest.body["items"]]]
    assert subjects == [*ids[::-1], TOLL_FREE]  # newest first; the sender was made by hand, too
    assert rest.body["next_cursor"] is None
    assert others.body["items"] == []


async def test_who_may_send_may_not_send_twice(api: Api) -> None:
    _, (message_id,) = await unknown(api)

    refused = await settle(api, message_id, "resend", secret=await api.key("messages:write", "jobs:*"))
    foreign = await settle(api, message_id, "resend", secret=await api.key(tenant="other"))

    assert (refused.status, foreign.status) == (403, 404)
    assert (await api.get(f"/v1/messages/{message_id}")).body["status"] == "unknown"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"as": "perhaps"}, {"as": "not_one_of"}),
        ({}, {"as": "missing_field"}),
        ({"as": "sent", "note": "x" * 501}, {"note": "too_long"}),
    ],
)
async def test_a_wrong_verdict_is_told(api: Api, body: Any, wrong: dict[str, str]) -> None:
    said = await api.post("/v1/messages/msg_01JD0Z4T6V0000000000000000/settle", body)

    assert (said.status, said.wrong) == (422, wrong)


async def test_why_names_the_command_once_the_carrier_was_asked_in_vain(api: Api) -> None:
    _, (message_id,) = await unknown(api)
    before = await api.get(f"/v1/messages/{message_id}/why")
    await api.doors.database.write(lambda tx: settling.rest(tx, [message_id], "absent_at_carrier", now_ms()))
    after = await api.get(f"/v1/messages/{message_id}/why")

    assert before.body["waiting_for"] == after.body["waiting_for"] == "settlement"
    assert "asked twice" not in before.body["explanation"]
    assert (
        f"asked twice and does not have it, and it is not sent again by itself. Settle it by hand: gateway settle {message_id}"
        in after.body["explanation"]
    )


async def test_why_of_a_job_tells_how_many_of_its_texts_nobody_answered_for(api: Api) -> None:
    job_id, ids = await unknown(api, 2)
    before = await api.get(f"/v1/jobs/{job_id}/why")
    await settle(api, job_id, "drop")
    after = await api.get(f"/v1/jobs/{job_id}/why")

    assert before.body["waiting_for"] == "settlement"
    assert f"for {len(ids)} of its texts the carrier never answered" in before.body["explanation"]
    assert after.body["waiting_for"] != "settlement"


async def test_a_job_says_what_becomes_of_its_unknown_texts(api: Api) -> None:
    job_id, _ = await unknown(api, on_unknown="resend")
    calls = {"channel": "voice", "from": TOLL_FREE, "recipients": [{"to": PERSON}], "call": {"dialplan": "none"}}
    refused = await api.post("/v1/jobs", {**calls, "on_unknown": "resend"})

    assert (await api.get(f"/v1/jobs/{job_id}")).body["on_unknown"] == "resend"
    assert refused.wrong == {"on_unknown": "unknown_field"}
