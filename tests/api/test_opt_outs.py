"""Who has said stop: recorded, obeyed, listed, taken back."""

import pytest

from tests.api.conftest import PERSON, TOLL_FREE, Api

OTHER = "+12125550100"


async def text(api: Api, to: str, sender: str = TOLL_FREE) -> str:
    return str((await api.post("/v1/messages", {"to": to, "from": sender, "body": "Hi"})).body["id"])


async def test_what_waits_for_a_person_who_says_stop_is_cancelled_and_listed(api: Api) -> None:
    await api.sender()
    theirs, others = await text(api, PERSON), await text(api, "+12125559876")

    said = await api.put(f"/v1/opt-outs/{PERSON}", {"evidence": "a letter"})

    assert (said.status, said.body["cancelled"]) == (200, [theirs])
    assert [(each["scope"], each["source"], each["evidence"]) for each in said.body["opt_outs"]] == [
        ("tenant", "api", "a letter")
    ]
    assert (await api.get(f"/v1/messages/{theirs}")).body["status"] == "cancelled"
    assert (await api.get(f"/v1/messages/{others}")).body["status"] == "queued"
    created = (await api.get("/v1/events", params={"type": "opt_out.created"})).body["items"]
    assert [each["data"]["cancelled"] for each in created] == [[theirs]]


async def test_a_stop_to_one_sender_leaves_the_others(api: Api) -> None:
    await api.sender()
    await api.sender(OTHER)
    here, there = await text(api, PERSON), await text(api, PERSON, OTHER)

    said = await api.put(f"/v1/opt-outs/{PERSON}", {"sender": TOLL_FREE})

    assert said.body["cancelled"] == [here]
    assert (await api.get(f"/v1/messages/{there}")).body["status"] == "queued"
    assert (await api.put(f"/v1/opt-outs/{PERSON}", {"sender": "+18885550199"})).wrong == {"sender": "unknown_sender"}


async def test_saying_stop_twice_keeps_the_first_word(api: Api) -> None:
    first = (await api.put(f"/v1/opt-outs/{PERSON}", {"evidence": "first"})).body["opt_outs"]

    assert (await api.put(f"/v1/opt-outs/{PERSON}", {"evidence": "second"})).body["opt_outs"] == first


async def test_an_opt_out_can_be_taken_back_whole(api: Api) -> None:
    await api.sender()
    await api.put(f"/v1/opt-outs/{PERSON}", {})
    await api.put(f"/v1/opt-outs/{PERSON}", {"sender": TOLL_FREE})

    assert (await api.ask("DELETE", f"/v1/opt-outs/{PERSON}")).body["opted_out"] is False
    assert (await api.get(f"/v1/opt-outs/{PERSON}")).body["opt_outs"] == []
    assert (await api.ask("DELETE", f"/v1/opt-outs/{PERSON}")).status == 404


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_opt_outs_are_listed_by_pages_that_miss_nobody(api: Api, limit: int) -> None:
    await api.sender()
    people = [f"+1212555{1000 + n}" for n in range(5)]
    for person in people:
        await api.put(f"/v1/opt-outs/{person}", {})
        await api.put(f"/v1/opt-outs/{person}", {"sender": TOLL_FREE})

    seen, cursor = [], ""
    while True:
        page = (await api.get("/v1/opt-outs", params={"limit": limit, "cursor": cursor})).body
        seen += [(each["number"], len(each["opt_outs"])) for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == [(person, 2) for person in people]


async def test_an_opt_out_is_one_tenants_own(api: Api) -> None:
    await api.put(f"/v1/opt-outs/{PERSON}", {})
    other = await api.key(tenant="gas")

    assert (await api.get(f"/v1/opt-outs/{PERSON}", secret=other)).body["opted_out"] is False
    assert (await api.get("/v1/opt-outs", secret=other)).body["items"] == []
    assert (await api.ask("DELETE", f"/v1/opt-outs/{PERSON}", secret=other)).status == 404


async def test_a_number_that_is_none_is_refused(api: Api) -> None:
    assert (await api.put("/v1/opt-outs/123", {})).wrong == {"number": "invalid_number"}


async def test_what_is_said_in_test_mode_binds_no_live_text_and_frees_no_live_person(api: Api) -> None:
    await api.sender()
    test = await api.key(mode="test")
    waiting = await text(api, PERSON)

    assert (await api.put(f"/v1/opt-outs/{PERSON}", {}, secret=test)).body["cancelled"] == []
    assert (await api.get(f"/v1/messages/{waiting}")).body["status"] == "queued"
    assert (await api.get(f"/v1/opt-outs/{PERSON}")).body["opted_out"] is False
    await api.put(f"/v1/opt-outs/{OTHER}", {})
    assert (await api.ask("DELETE", f"/v1/opt-outs/{OTHER}", secret=test)).status == 404
    assert (await api.get(f"/v1/opt-outs/{OTHER}")).body["opted_out"] is True
    listed = (await api.get("/v1/opt-outs", secret=test)).body["items"]
    assert [each["number"] for each in listed] == [PERSON]
